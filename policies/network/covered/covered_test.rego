package policies.network.covered_test

import data.policies.network.covered

_labels := {"app.kubernetes.io/name": "web"}

_deployment := {
	"kind": "Deployment",
	"metadata": {"name": "web", "namespace": "apps"},
	"spec": {"template": {
		"metadata": {"labels": _labels},
		"spec": {"containers": [{"name": "web", "ports": [
			{"name": "https", "containerPort": 8443},
			{"name": "data", "containerPort": 2001},
		]}]},
	}},
}

_service := {
	"kind": "Service",
	"metadata": {"name": "web", "namespace": "apps"},
	"spec": {"type": "LoadBalancer", "selector": _labels, "ports": [
		{"port": 443, "targetPort": "https"},
		{"port": 2001},
	]},
}

_policy(namespace, spec) := {
	"kind": "NetworkPolicy",
	"metadata": {"name": "web", "namespace": namespace},
	"spec": object.union({"podSelector": {"matchLabels": _labels}, "policyTypes": ["Ingress"]}, spec),
}

_public := _policy("apps", {"ingress": [{"ports": [{"port": "https"}]}, {"ports": [{"port": 2000, "endPort": 2009}]}]})

_paths(object, policies) := paths if {
	paths := {result.path | some result in covered.deny} with input as object
		with data.inventory as array.concat([_deployment, _service], policies)
}

_uncovered := {["spec", "template", "metadata", "labels"]}

test_a_policy_of_its_own_is_allowed if _paths(_deployment, [_policy("apps", {})]) == set()

test_no_policy_is_denied if _paths(_deployment, []) == _uncovered

test_a_policy_for_all_is_not_enough if {
	all := json.patch(_policy("apps", {}), [{"op": "replace", "path": "/spec/podSelector", "value": {}}])
	_paths(_deployment, [all]) == _uncovered
}

test_a_policy_elsewhere_is_not_enough if _paths(_deployment, [_policy("elsewhere", {})]) == _uncovered

test_a_policy_of_others_is_not_enough if {
	other := _policy("apps", {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "db"}}})
	_paths(_deployment, [other]) == _uncovered
}

test_jobs_are_covered_too if {
	_paths(object.union(_deployment, {"kind": "Job"}), []) == _uncovered
}

test_published_ports_that_are_let_in_are_allowed if {
	_paths(_service, [_public]) == set()
	_paths(_service, [_policy("apps", {"ingress": [{}]})]) == set()
}

test_published_ports_that_are_not_are_denied if {
	_paths(_service, []) == {["spec", "ports", 0], ["spec", "ports", 1]}
	_paths(_service, [_policy("apps", {"ingress": [{"ports": [{"port": "https"}]}]})]) == {["spec", "ports", 1]}
	_paths(_service, [_policy("apps", {"ingress": [{"ports": [{"port": 443}, {"port": 2001}]}]})]) == {["spec", "ports", 0]}
	_paths(_service, [_policy("apps", {"ingress": [{"ports": [{"port": "https"}, {"port": 2001, "protocol": "UDP"}]}]})]) == {["spec", "ports", 1]}
}

test_let_in_for_some_is_denied if {
	some_peers := [{"podSelector": {"matchLabels": _labels}}]
	_paths(_service, [_policy("apps", {"ingress": [{"from": some_peers, "ports": [{"port": "https"}, {"port": 2001}]}]})]) == {["spec", "ports", 0], ["spec", "ports", 1]}
}

test_what_is_not_published_needs_nobody if {
	_paths(json.patch(_service, [{"op": "replace", "path": "/spec/type", "value": "ClusterIP"}]), []) == set()
}

test_without_an_inventory_nothing_is_missed if {
	count(covered.deny) == 0 with input as _deployment
	count(covered.deny) == 0 with input as _service
}
