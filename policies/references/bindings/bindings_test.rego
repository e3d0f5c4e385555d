package policies.references.bindings_test

import data.policies.references.bindings

_object(kind, name, namespace) := {"kind": kind, "metadata": {"name": name, "namespace": namespace}}

_inventory := [
	_object("ServiceAccount", "web", "apps"),
	_object("Role", "reader", "apps"),
	{"kind": "ClusterRole", "metadata": {"name": "nodes"}},
]

_binding(kind, role_kind, role, subject) := {
	"kind": kind,
	"metadata": {"name": "web", "namespace": "apps"},
	"roleRef": {"kind": role_kind, "name": role},
	"subjects": [subject],
}

_web := {"kind": "ServiceAccount", "name": "web", "namespace": "apps"}

_paths(object) := paths if {
	paths := {result.path | some result in bindings.deny} with input as object with data.inventory as _inventory
}

test_what_exists_is_allowed if {
	_paths(_binding("RoleBinding", "Role", "reader", _web)) == set()
	_paths(_binding("RoleBinding", "ClusterRole", "nodes", _web)) == set()
	_paths(_binding("ClusterRoleBinding", "ClusterRole", "nodes", _web)) == set()
}

test_the_clusters_roles_exist if {
	_paths(_binding("RoleBinding", "ClusterRole", "view", _web)) == set()
	_paths(_binding("RoleBinding", "ClusterRole", "system:auth-delegator", _web)) == set()
	_paths(_binding("RoleBinding", "Role", "view", _web)) == {["roleRef", "name"]}
}

test_a_missing_role_is_denied if {
	_paths(_binding("RoleBinding", "Role", "writer", _web)) == {["roleRef", "name"]}
	_paths(_binding("RoleBinding", "ClusterRole", "reader", _web)) == {["roleRef", "name"]}
	_paths(json.remove(_binding("RoleBinding", "Role", "reader", _web), ["/roleRef"])) == {["roleRef", "name"]}
	elsewhere := object.union(_binding("RoleBinding", "Role", "reader", _web), {"metadata": {"namespace": "elsewhere"}})
	_paths(elsewhere) == {["roleRef", "name"]}
}

test_a_missing_account_is_denied if {
	every subject in [
		{"kind": "ServiceAccount", "name": "other", "namespace": "apps"},
		{"kind": "ServiceAccount", "name": "web", "namespace": "elsewhere"},
		{"kind": "ServiceAccount", "name": "web"},
	] {
		_paths(_binding("RoleBinding", "Role", "reader", subject)) == {["subjects", 0, "name"]}
	}
}

test_other_subjects_are_left_to_least_privilege if {
	_paths(_binding("RoleBinding", "Role", "reader", {"kind": "Group", "name": "everyone"})) == set()
	_paths(_binding("RoleBinding", "Role", "reader", {"kind": "ServiceAccount", "name": "default", "namespace": "apps"})) == set()
}

test_without_an_inventory_nothing_is_missed if {
	count(bindings.deny) == 0 with input as _binding("RoleBinding", "Role", "writer", _web)
}
