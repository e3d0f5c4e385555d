# METADATA
# title: Namespaces enforce the restricted standard
# description: |
#   What the policies ask of a pod, the cluster itself must refuse: a Namespace with workloads enforces
#   the Pod Security level `restricted`, and warns and audits by it. The version is pinned, for
#   `latest` changes its mind when the cluster is upgraded. A namespace that needs more is a fact with
#   a reason (`pod_security_levels`); there the audit log still tells what goes beyond `restricted`,
#   but nobody is warned of what is meant.
# related_resources:
#   - https://kubernetes.io/docs/concepts/security/pod-security-admission/
# custom:
#   requirements: [B1, B5]
#   severity: error
#   remediation: |
#     Label the Namespace with `pod-security.kubernetes.io/enforce`, `audit` and `warn: restricted`,
#     and each with its `-version`, such as `v1.34`.
package policies.namespaces.pod_security

import data.policies.lib.kubernetes

deny contains result if {
	input.kind == "Namespace"
	some mode, level in _modes
	label := sprintf("pod-security.kubernetes.io/%s", [mode])
	found := _label(label)
	found != level
	result := {
		"msg": sprintf("%s says %q for the Pod Security mode %s, not %s", [kubernetes.describe(input), found, mode, level]),
		"path": ["metadata", "labels", label],
		"value": found,
	}
}

deny contains result if {
	input.kind == "Namespace"
	some mode, _ in _modes
	label := sprintf("pod-security.kubernetes.io/%s-version", [mode])
	found := _label(label)
	not regex.match(`^v1\.[0-9]+$`, found)
	result := {
		"msg": sprintf("%s says %q for the version of the Pod Security mode %s", [kubernetes.describe(input), found, mode]),
		"path": ["metadata", "labels", label],
		"value": found,
	}
}

_label(name) := object.get(input, ["metadata", "labels", name], "")

# The modes that the Namespace must state, and the level of each.
_modes["audit"] := "restricted" if _has_workloads

_modes["enforce"] := "restricted" if {
	_has_workloads
	not _exception
}

_modes["warn"] := "restricted" if {
	_has_workloads
	not _exception
}

_modes["enforce"] := _exception.level if _has_workloads

_has_workloads if {
	input.kind == "Namespace"
	some workload in kubernetes.workloads
	kubernetes.namespace(workload) == input.metadata.name
}

_exception := exception if {
	some exception in data.facts.pod_security_levels
	exception.namespace == input.metadata.name
}
