package policies.network.explicit_rules_test

import data.policies.network.explicit_rules

_facts := {"egress_by_port": [{"service": "web", "ports": [443, 6443], "reason": "…"}]}

_labels := {"app.kubernetes.io/name": "web"}

_selector := {"matchLabels": _labels}

_deployment := {
	"kind": "Deployment",
	"metadata": {"name": "web", "namespace": "apps"},
	"spec": {"template": {
		"metadata": {"labels": _labels},
		"spec": {"containers": [{"name": "web", "ports": [
			{"name": "https", "containerPort": 443},
			{"name": "status", "containerPort": 8080},
			{"name": "data-0", "containerPort": 2000},
			{"name": "data-1", "containerPort": 2001},
		]}]},
	}},
}

_service := {
	"kind": "Service",
	"metadata": {"name": "web", "namespace": "apps"},
	"spec": {"type": "LoadBalancer", "selector": _labels, "ports": [
		{"port": 5000, "targetPort": "https"},
		{"port": 2000},
		{"port": 2001},
	]},
}

_policy(spec) := {
	"kind": "NetworkPolicy",
	"metadata": {"name": "web", "namespace": "apps"},
	"spec": object.union({"podSelector": _selector, "policyTypes": ["Ingress", "Egress"]}, spec),
}

_paths_of(policy) := paths if {
	paths := {result.path | some result in explicit_rules.deny} with input as policy
		with data.inventory as [policy, _deployment, _service]
		with data.facts as _facts
}

_paths(spec) := _paths_of(_policy(spec))

_rule(peer, port) := {"from": [peer], "ports": [port]}

test_explicit_rules_are_allowed if {
	_paths({}) == set()
	_paths({
		"ingress": [_rule({"podSelector": _selector}, {"port": "status"})],
		"egress": [{
			"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
			"ports": [{"port": 53, "protocol": "UDP"}],
		}],
	}) == set()
}

test_policy_types_must_be_said if {
	_paths({"policyTypes": []}) == {["spec", "policyTypes"]}
	_paths({"policyTypes": null}) == {["spec", "policyTypes"]}
	_paths_of(json.remove(_policy({}), ["/spec/policyTypes"])) == {["spec", "policyTypes"]}
}

test_rules_without_effect_are_denied if {
	_paths({"policyTypes": ["Ingress"], "egress": [{"to": [{"podSelector": _selector}], "ports": [{"port": 1}]}]}) == {["spec", "policyTypes"]}
}

test_every_port_is_denied if {
	_paths({"ingress": [{"from": [{"podSelector": _selector}]}]}) == {["spec", "ingress", 0, "ports"]}
	_paths({"ingress": [{"from": [{"podSelector": _selector}], "ports": null}]}) == {["spec", "ingress", 0, "ports"]}
	_paths({"ingress": [_rule({"podSelector": _selector}, {"protocol": "UDP"})]}) == {["spec", "ingress", 0, "ports", 0, "port"]}
}

test_vague_peers_are_denied if {
	every peer in [
		{},
		{"podSelector": {}},
		{"namespaceSelector": {}},
		{"namespaceSelector": {"matchLabels": {"a": "b"}}},
		{"namespaceSelector": {}, "podSelector": _selector},
		{"ipBlock": {"cidr": "0.0.0.0/0"}},
		{"ipBlock": {"cidr": "::/0"}},
	] {
		_paths({"ingress": [_rule(peer, {"port": "status"})]}) == {["spec", "ingress", 0, "from", 0]}
	}
}

test_an_address_block_is_allowed if {
	_paths({"ingress": [_rule({"ipBlock": {"cidr": "192.0.2.0/24"}}, {"port": "status"})]}) == set()
}

test_published_ports_may_be_open_to_all if {
	_paths({"ingress": [{"ports": [{"port": "https"}, {"port": 443}, {"port": 2000, "endPort": 2001}]}]}) == set()
	_paths({"ingress": [{"from": [], "ports": [{"port": "https"}]}]}) == set()
}

test_other_ports_may_not if {
	every port in [{"port": "status"}, {"port": 5000}, {"port": 2000, "endPort": 2002}, {"port": 2001, "endPort": 2000}, {"port": 443, "protocol": "UDP"}] {
		_paths({"ingress": [{"ports": [port]}]}) == {["spec", "ingress", 0, "ports", 0]}
	}
}

test_open_to_all_and_every_port_is_denied if {
	_paths({"ingress": [{}]}) == {["spec", "ingress", 0, "ports"]}
}

test_without_an_inventory_published_ports_are_unknown if {
	count(explicit_rules.deny) == 0 with input as _policy({"ingress": [{"ports": [{"port": "status"}]}]}) with data.facts as _facts
}

test_egress_by_port_needs_a_fact if {
	_paths({"egress": [{"ports": [{"port": 443}, {"port": 6443}]}]}) == set()
	every port in [{"port": 10250}, {"port": "https"}, {"port": 443, "endPort": 6443}, {"port": 443, "protocol": "UDP"}] {
		_paths({"egress": [{"ports": [port]}]}) == {["spec", "egress", 0, "ports", 0]}
	}
}

test_egress_by_port_is_for_that_service_alone if {
	rule := {"egress": [{"ports": [{"port": 443}]}]}
	_paths_of(json.patch(_policy(rule), [{"op": "replace", "path": "/spec/podSelector", "value": {}}])) == {["spec", "egress", 0, "ports", 0]}
	count(explicit_rules.deny) == 1 with input as _policy(rule) with data.facts as {}
}
