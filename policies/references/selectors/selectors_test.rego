package policies.references.selectors_test

import data.policies.references.selectors

_facts := {"selector_labels": ["app.kubernetes.io/name", "app.kubernetes.io/component"]}

_web := {"app.kubernetes.io/name": "web"}

_db := {"app.kubernetes.io/name": "db"}

_deployment := {
	"kind": "Deployment",
	"metadata": {"name": "web", "namespace": "apps"},
	"spec": {
		"selector": {"matchLabels": _web},
		"template": {"metadata": {"labels": {"app.kubernetes.io/name": "web", "tier": "front"}}},
	},
}

_object(kind, spec) := {"kind": kind, "metadata": {"name": "x", "namespace": "apps"}, "spec": spec}

_paths(object) := paths if {
	paths := {result.path | some result in selectors.deny} with input as object
		with data.inventory as [object, _deployment]
		with data.facts as _facts
}

test_matching_selectors_are_allowed if {
	_paths(_deployment) == set()
	_paths(_object("Service", {"selector": _web})) == set()
	_paths(_object("NetworkPolicy", {"podSelector": {"matchLabels": _web}})) == set()
	_paths(_object("PodDisruptionBudget", {"selector": {"matchLabels": _web}})) == set()
}

test_a_service_must_select if {
	_paths(_object("Service", {})) == {["spec", "selector"]}
	_paths(_object("Service", {"selector": {}})) == {["spec", "selector"]}
	_paths(_object("Service", {"type": "ExternalName", "externalName": "example.com"})) == set()
}

test_selecting_nobody_is_denied if {
	_paths(_object("Service", {"selector": _db})) == {["spec", "selector"]}
	_paths(_object("NetworkPolicy", {"podSelector": {"matchLabels": _db}})) == {["spec", "podSelector"]}
	_paths(_object("PodDisruptionBudget", {"selector": {"matchLabels": _db}})) == {["spec", "selector"]}
}

test_without_an_inventory_nobody_is_missed if {
	count(selectors.deny) == 0 with input as _object("Service", {"selector": _db}) with data.facts as _facts
}

test_a_namespace_is_its_own if {
	elsewhere := json.patch(_object("Service", {"selector": _web}), [{"op": "replace", "path": "/metadata/namespace", "value": "elsewhere"}])
	_paths(elsewhere) == {["spec", "selector"]}
}

test_an_empty_pod_selector_is_allowed if {
	_paths(_object("NetworkPolicy", {"podSelector": {}})) == set()
}

test_peers_of_the_namespace_must_be_there if {
	_paths(_object("NetworkPolicy", {"podSelector": {}, "egress": [{"to": [
		{"podSelector": {"matchLabels": _web}},
		{"podSelector": {"matchLabels": _db}},
		{"ipBlock": {"cidr": "10.0.0.0/8"}},
	]}]})) == {["spec", "egress", 0, "to", 1, "podSelector"]}
	_paths(_object("NetworkPolicy", {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": _db}}]}]})) == {["spec", "ingress", 0, "from", 0, "podSelector"]}
}

test_peers_elsewhere_are_not_asked if {
	peer := {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}
	_paths(_object("NetworkPolicy", {"podSelector": {}, "egress": [{"to": [peer]}]})) == set()
}

test_a_workload_must_select_its_own_pods if {
	every selector in [{"matchLabels": _db}, {"matchLabels": {}}, {}] {
		_paths(json.patch(_deployment, [{"op": "replace", "path": "/spec/selector", "value": selector}])) == {["spec", "selector"]}
	}
	_paths(json.remove(_deployment, ["/spec/selector"])) == {["spec", "selector"]}
	_paths(json.remove(_deployment, ["/spec/template/metadata/labels/app.kubernetes.io~1name"])) == {["spec", "selector"]}
}

test_labels_that_change_are_denied if {
	_paths(json.patch(_deployment, [{"op": "add", "path": "/spec/selector/matchLabels/tier", "value": "front"}])) == {["spec", "selector"]}
	_paths(_object("Service", {"selector": {"tier": "front"}})) == {["spec", "selector"]}
	_paths(_object("NetworkPolicy", {"podSelector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}})) == {["spec", "podSelector"]}
}

test_jobs_select_by_themselves if {
	_paths({"kind": "Job", "metadata": {"name": "x", "namespace": "apps"}, "spec": {"template": {}}}) == set()
}

test_without_facts_every_label_may_be_selected_by if {
	count(selectors.deny) == 0 with input as json.patch(_deployment, [
		{"op": "add", "path": "/spec/selector/matchLabels/tier", "value": "front"},
		{"op": "add", "path": "/spec/template/metadata/labels/tier", "value": "front"},
	])
		with data.facts as {}
}
