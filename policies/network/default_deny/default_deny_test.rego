package policies.network.default_deny_test

import data.policies.network.default_deny

_namespace := {"kind": "Namespace", "metadata": {"name": "apps"}}

_deployment := {"kind": "Deployment", "metadata": {"name": "web", "namespace": "apps"}, "spec": {}}

_policy(namespace, spec) := {"kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": namespace}, "spec": spec}

_both := {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

_paths(others) := paths if {
	paths := {result.path | some result in default_deny.deny} with input as _namespace
		with data.inventory as array.concat([_namespace], others)
}

_denied := {["metadata", "name"]}

test_denied_by_default_is_allowed if {
	_paths([_deployment, _policy("apps", _both)]) == set()
	_paths([_deployment, _policy("apps", {"podSelector": {"matchLabels": {}}, "policyTypes": ["Egress", "Ingress"], "ingress": [], "egress": []})]) == set()
	_paths([_deployment, _policy("apps", _both), _policy("apps", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53}]}]})]) == set()
}

test_no_policy_is_denied if {
	_paths([_deployment]) == _denied
	_paths([_deployment, _policy("elsewhere", _both)]) == _denied
}

test_one_direction_is_denied if {
	_paths([_deployment, _policy("apps", {"podSelector": {}, "policyTypes": ["Ingress"]})]) == _denied
	_paths([_deployment, _policy("apps", {"podSelector": {}})]) == _denied
}

test_some_pods_are_not_all if {
	_paths([_deployment, _policy("apps", object.union(_both, {"podSelector": {"matchLabels": {"a": "b"}}}))]) == _denied
}

test_a_rule_is_denied if {
	_paths([_deployment, _policy("apps", object.union(_both, {"ingress": [{}]}))]) == _denied
}

test_a_namespace_without_pods_is_allowed if _paths([]) == set()

test_without_an_inventory_nothing_is_missed if {
	count(default_deny.deny) == 0 with input as _namespace
}
