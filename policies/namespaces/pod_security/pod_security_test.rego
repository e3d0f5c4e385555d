package policies.namespaces.pod_security_test

import data.policies.namespaces.pod_security

_restricted := {
	"pod-security.kubernetes.io/enforce": "restricted",
	"pod-security.kubernetes.io/enforce-version": "v1.34",
	"pod-security.kubernetes.io/audit": "restricted",
	"pod-security.kubernetes.io/audit-version": "v1.34",
	"pod-security.kubernetes.io/warn": "restricted",
	"pod-security.kubernetes.io/warn-version": "v1.34",
}

_facts := {"pod_security_levels": [{"namespace": "nodes", "level": "privileged", "reason": "…"}]}

_labels_denied(name, labels) := denied if {
	namespace := {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}
	denied := {result.path[2] | some result in pod_security.deny} with input as namespace
		with data.facts as _facts
		with data.inventory as [
			namespace,
			{"kind": "Deployment", "metadata": {"name": "web", "namespace": "apps"}},
			{"kind": "DaemonSet", "metadata": {"name": "agent", "namespace": "nodes"}},
			{"kind": "Service", "metadata": {"name": "web", "namespace": "empty"}},
		]
}

test_restricted_is_allowed if _labels_denied("apps", _restricted) == set()

test_every_label_must_be_there if {
	_labels_denied("apps", {}) == object.keys(_restricted)
	every label, _ in _restricted {
		_labels_denied("apps", object.remove(_restricted, [label])) == {label}
	}
}

test_lower_levels_are_denied if {
	every level in ["baseline", "privileged", "Restricted"] {
		_labels_denied("apps", object.union(_restricted, {"pod-security.kubernetes.io/enforce": level})) == {"pod-security.kubernetes.io/enforce"}
	}
}

test_moving_versions_are_denied if {
	every version in ["latest", "1.34", "v1", "v1.34.2"] {
		_labels_denied("apps", object.union(_restricted, {"pod-security.kubernetes.io/warn-version": version})) == {"pod-security.kubernetes.io/warn-version"}
	}
}

_exception := {
	"pod-security.kubernetes.io/enforce": "privileged",
	"pod-security.kubernetes.io/enforce-version": "v1.34",
	"pod-security.kubernetes.io/audit": "restricted",
	"pod-security.kubernetes.io/audit-version": "v1.34",
}

test_an_exception_is_allowed_but_still_audited if {
	_labels_denied("nodes", _exception) == set()
	_labels_denied("nodes", {}) == object.keys(_exception)
}

test_an_exception_is_for_its_namespace_alone if {
	"pod-security.kubernetes.io/enforce" in _labels_denied("apps", _exception)
	_labels_denied("nodes", _restricted) == {"pod-security.kubernetes.io/enforce"}
}

test_a_namespace_without_workloads_is_not_asked if _labels_denied("empty", {}) == set()

test_without_an_inventory_nothing_is_asked if {
	count(pod_security.deny) == 0 with input as {"kind": "Namespace", "metadata": {"name": "apps"}}
}
