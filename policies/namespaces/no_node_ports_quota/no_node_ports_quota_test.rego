package policies.namespaces.no_node_ports_quota_test

import data.policies.namespaces.no_node_ports_quota

_namespace := {"kind": "Namespace", "metadata": {"name": "apps"}}

_service := {"kind": "Service", "metadata": {"name": "web", "namespace": "apps"}}

_quota(namespace, spec) := {"kind": "ResourceQuota", "metadata": {"name": "quota", "namespace": namespace}, "spec": spec}

_none := {"hard": {"services.nodeports": "0"}}

_paths(object, others) := paths if {
	paths := {result.path | some result in no_node_ports_quota.deny} with input as object
		with data.inventory as array.concat(others, [object])
}

test_a_quota_of_none_is_allowed if {
	_paths(_namespace, [_service, _quota("apps", _none)]) == set()
	_paths(_quota("apps", _none), []) == set()
	_paths(_quota("apps", {"hard": {"services.nodeports": 0}}), []) == set()
}

test_no_quota_is_denied if {
	_paths(_namespace, [_service]) == {["metadata", "name"]}
	_paths(_namespace, [_service, _quota("elsewhere", _none)]) == {["metadata", "name"]}
	_paths(_namespace, [_service, _quota("apps", {"hard": {"pods": "10"}})]) == {["metadata", "name"]}
	_paths(_namespace, [_service, _quota("apps", {})]) == {["metadata", "name"]}
}

test_a_scoped_quota_counts_no_services if {
	_paths(_namespace, [_service, _quota("apps", object.union(_none, {"scopes": ["Terminating"]}))]) == {["metadata", "name"]}
}

test_a_quota_of_some_is_denied_where_it_stands if {
	some_ports := _quota("apps", {"hard": {"services.nodeports": "5"}})
	_paths(some_ports, []) == {["spec", "hard", "services.nodeports"]}
	_paths(_namespace, [_service, some_ports]) == set()
}

test_other_quotas_are_not_asked if _paths(_quota("apps", {"hard": {"pods": "10"}}), []) == set()

test_a_namespace_without_services_needs_none if _paths(_namespace, []) == set()
