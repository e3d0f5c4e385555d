# METADATA
# title: Roles give the least that works
# description: |
#   A right that leads to more rights is as good as all of them: wildcards, what runs commands in other
#   pods or acts as somebody else, what hands out roles, and reading Secrets. Secrets may be created,
#   and otherwise touched only by name, inside one namespace. A binding gives rights to ServiceAccounts
#   that are somebody's, and none of the cluster's own roles that hold all of the above.
# related_resources:
#   - https://kubernetes.io/docs/concepts/security/rbac-good-practices/
# custom:
#   requirements: [B1, G12]
#   severity: error
#   remediation: |
#     List the resources and verbs that are needed in a Role of the overlay; for Secrets `create` in one
#     rule and the other verbs with `resourceNames` in another; bind it to the ServiceAccount of the
#     one service that needs it.
package policies.rbac.least_privilege

import data.policies.lib.kubernetes

# Each runs commands in, or reaches into, pods that are not the holder's, or makes a token for somebody.
_dangerous_resources := {
	"nodes/proxy",
	"pods/attach",
	"pods/ephemeralcontainers",
	"pods/exec",
	"pods/portforward",
	"pods/proxy",
	"serviceaccounts/token",
	"services/proxy",
}

_dangerous_verbs := {"bind", "escalate", "impersonate"}

_all_powerful := {"cluster-admin", "admin", "edit"}

deny contains result if {
	some entry in _rules
	some field in ["apiGroups", "resources", "verbs", "nonResourceURLs"]
	some i, value in entry.rule[field]
	contains(value, "*")
	result := {
		"msg": sprintf("%s has the wildcard %s among its %s", [kubernetes.describe(input), value, field]),
		"path": array.concat(entry.path, [field, i]),
		"value": value,
	}
}

deny contains result if {
	some entry in _rules
	some field, dangerous in {"resources": _dangerous_resources, "verbs": _dangerous_verbs}
	some i, value in entry.rule[field]
	value in dangerous
	result := {
		"msg": sprintf("%s gives %s, which leads to more rights", [kubernetes.describe(input), value]),
		"path": array.concat(entry.path, [field, i]),
		"value": value,
	}
}

deny contains result if {
	some entry in _rules
	input.kind == "ClusterRole"
	some i, resource in entry.rule.resources
	resource == "secrets"
	result := {
		"msg": sprintf("%s gives Secrets of every namespace", [kubernetes.describe(input)]),
		"path": array.concat(entry.path, ["resources", i]),
		"value": resource,
	}
}

deny contains result if {
	some entry in _rules
	input.kind == "Role"
	"secrets" in entry.rule.resources
	kubernetes.missing(entry.rule, ["resourceNames"])
	some i, verb in entry.rule.verbs
	not verb in {"create", "*"} # the wildcard has its finding above
	result := {
		"msg": sprintf("%s may %s every Secret of its namespace", [kubernetes.describe(input), verb]),
		"path": array.concat(entry.path, ["verbs", i]),
		"value": verb,
	}
}

# What an aggregated role comes to is decided elsewhere.
deny contains result if {
	input.kind == "ClusterRole"
	input.aggregationRule
	result := {
		"msg": sprintf("%s takes its rules from other roles", [kubernetes.describe(input)]),
		"path": ["aggregationRule"],
	}
}

deny contains result if {
	input.kind in {"RoleBinding", "ClusterRoleBinding"}
	_is_all_powerful(input.roleRef.name)
	result := {
		"msg": sprintf("%s gives the cluster's role %s", [kubernetes.describe(input), input.roleRef.name]),
		"path": ["roleRef", "name"],
		"value": input.roleRef.name,
	}
}

deny contains result if {
	input.kind in {"RoleBinding", "ClusterRoleBinding"}
	some i, subject in input.subjects
	not subject.kind == "ServiceAccount"
	result := {
		"msg": sprintf("%s gives rights to the %v %v", [
			kubernetes.describe(input),
			object.get(subject, "kind", "unknown"),
			object.get(subject, "name", ""),
		]),
		"path": ["subjects", i, "kind"],
		"value": object.get(subject, "kind", null),
	}
}

deny contains result if {
	input.kind in {"RoleBinding", "ClusterRoleBinding"}
	some i, subject in input.subjects
	subject.kind == "ServiceAccount"
	subject.name == "default"
	result := {
		"msg": sprintf("%s gives rights to every pod of %s that has no ServiceAccount of its own", [
			kubernetes.describe(input),
			object.get(subject, "namespace", "its namespace"),
		]),
		"path": ["subjects", i, "name"],
		"value": "default",
	}
}

_rules contains {"rule": rule, "path": ["rules", i]} if {
	input.kind in {"Role", "ClusterRole"}
	some i, rule in input.rules
}

_is_all_powerful(name) if name in _all_powerful

# The roles of the cluster's own parts, of which some may do everything.
_is_all_powerful(name) if startswith(name, "system:")
