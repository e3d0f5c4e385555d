# METADATA
# title: Bindings join what exists
# description: |
#   The cluster takes a binding to a role or a ServiceAccount that is not there, and whoever makes one
#   of that name later gets the rights. The role and every ServiceAccount of a binding must be in the
#   overlay; the roles that every cluster has are excepted here, rbac/least_privilege judges them.
# related_resources:
#   - https://kubernetes.io/docs/reference/access-authn-authz/rbac/#rolebinding-and-clusterrolebinding
# custom:
#   requirements: [B1]
#   severity: error
#   remediation: |
#     Add the role or the ServiceAccount to the overlay, or correct the name or the namespace.
package policies.references.bindings

import data.policies.lib.kubernetes

_kinds := {"RoleBinding", "ClusterRoleBinding"}

deny contains result if {
	input.kind in _kinds
	kubernetes.inventory != []
	not _role_exists
	result := {
		"msg": sprintf("%s gives the %s %s, which is not in the overlay", [
			kubernetes.describe(input),
			object.get(input, ["roleRef", "kind"], "role"),
			object.get(input, ["roleRef", "name"], "(no name)"),
		]),
		"path": ["roleRef", "name"],
		"value": object.get(input, ["roleRef", "name"], null),
	}
}

deny contains result if {
	input.kind in _kinds
	kubernetes.inventory != []
	some i, subject in input.subjects
	subject.kind == "ServiceAccount"
	not _account_exists(subject)
	result := {
		"msg": sprintf("%s gives rights to the ServiceAccount %s of the namespace %q, which is not in the overlay", [
			kubernetes.describe(input),
			subject.name,
			object.get(subject, "namespace", ""),
		]),
		"path": ["subjects", i, "name"],
		"value": subject.name,
	}
}

_role_exists if {
	input.roleRef.kind == "Role"
	count(kubernetes.named("Role", kubernetes.namespace(input), input.roleRef.name)) > 0
}

_role_exists if {
	input.roleRef.kind == "ClusterRole"
	some role in kubernetes.inventory
	role.kind == "ClusterRole"
	role.metadata.name == input.roleRef.name
}

_role_exists if {
	input.roleRef.kind == "ClusterRole"
	input.roleRef.name in {"cluster-admin", "admin", "edit", "view"}
}

_role_exists if {
	input.roleRef.kind == "ClusterRole"
	startswith(input.roleRef.name, "system:")
}

_account_exists(subject) if {
	count(kubernetes.named("ServiceAccount", subject.namespace, subject.name)) > 0
}

# Every namespace has one.
_account_exists(subject) if subject.name == "default"
