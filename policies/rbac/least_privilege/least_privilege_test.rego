package policies.rbac.least_privilege_test

import data.policies.rbac.least_privilege

_paths(object) := paths if {
	paths := {result.path | some result in least_privilege.deny} with input as object
}

_role(kind, rule) := {"kind": kind, "metadata": {"name": "web"}, "rules": [rule]}

_rule_paths(rule) := _paths(_role("Role", rule))

_binding(role, subject) := {"kind": "RoleBinding", "metadata": {"name": "web"}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [subject]}

_web := {"kind": "ServiceAccount", "name": "web", "namespace": "apps"}

test_narrow_roles_are_allowed if {
	_rule_paths({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}) == set()
	_paths(_role("ClusterRole", {"apiGroups": [""], "resources": ["nodes/stats"], "verbs": ["get"]})) == set()
	_paths(_role("ClusterRole", {"nonResourceURLs": ["/metrics"], "verbs": ["get"]})) == set()
	_paths({"kind": "Role", "metadata": {"name": "none"}}) == set()
}

test_wildcards_are_denied if {
	_rule_paths({"apiGroups": ["*"], "resources": ["pods"], "verbs": ["list"]}) == {["rules", 0, "apiGroups", 0]}
	_rule_paths({"apiGroups": [""], "resources": ["*"], "verbs": ["list"]}) == {["rules", 0, "resources", 0]}
	_rule_paths({"apiGroups": [""], "resources": ["*/scale"], "verbs": ["list"]}) == {["rules", 0, "resources", 0]}
	_rule_paths({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "*"]}) == {["rules", 0, "verbs", 1]}
	_rule_paths({"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}) == {["rules", 0, "verbs", 0]}
	_paths(_role("ClusterRole", {"nonResourceURLs": ["/api/*"], "verbs": ["get"]})) == {["rules", 0, "nonResourceURLs", 0]}
}

test_rights_that_lead_to_more_are_denied if {
	every resource in ["nodes/proxy", "pods/exec", "pods/attach", "pods/portforward", "serviceaccounts/token"] {
		_rule_paths({"apiGroups": [""], "resources": ["pods", resource], "verbs": ["create"]}) == {["rules", 0, "resources", 1]}
	}
	every verb in ["bind", "escalate", "impersonate"] {
		_rule_paths({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": [verb]}) == {["rules", 0, "verbs", 0]}
	}
}

test_secrets_may_be_created_and_named if {
	_rule_paths({"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}) == set()
	_rule_paths({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["get", "patch"]}) == set()
}

test_other_access_to_secrets_is_denied if {
	_rule_paths({"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["create", "get", "list"]}) == {["rules", 0, "verbs", 1], ["rules", 0, "verbs", 2]}
	_rule_paths({"apiGroups": [""], "resources": ["secrets"], "resourceNames": [], "verbs": ["get"]}) == {["rules", 0, "verbs", 0]}
}

test_secrets_of_every_namespace_are_denied if {
	rule := {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["get"]}
	_paths(_role("ClusterRole", rule)) == {["rules", 0, "resources", 0]}
}

test_aggregation_is_denied if {
	_paths({"kind": "ClusterRole", "metadata": {"name": "web"}, "aggregationRule": {"clusterRoleSelectors": []}}) == {["aggregationRule"]}
}

test_bindings_of_own_roles_are_allowed if {
	_paths(_binding("ft-services-telegraf", _web)) == set()
	_paths(_binding("view", _web)) == set()
}

test_the_clusters_powerful_roles_are_denied if {
	every role in ["cluster-admin", "admin", "edit", "system:node"] {
		_paths(_binding(role, _web)) == {["roleRef", "name"]}
	}
}

test_subjects_that_are_nobodys_are_denied if {
	_paths(_binding("view", {"kind": "Group", "name": "system:authenticated"})) == {["subjects", 0, "kind"]}
	_paths(_binding("view", {"kind": "User", "name": "jane"})) == {["subjects", 0, "kind"]}
	_paths(_binding("view", {"name": "web"})) == {["subjects", 0, "kind"]}
	_paths(_binding("view", {"kind": "ServiceAccount", "name": "default", "namespace": "apps"})) == {["subjects", 0, "name"]}
}
