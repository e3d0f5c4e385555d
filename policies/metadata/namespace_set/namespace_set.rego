# METADATA
# title: Every object is in a namespace of ours
# description: |
#   An object without a namespace lands wherever the kubeconfig points, in another place for every
#   person and tool that applies it. Each names one of the `namespaces` of the facts, never `default`;
#   a namespace that is meant for some API groups takes no other objects, and these live nowhere else.
#   Every namespace that nobody else makes is made by the overlay, which is looked at when the whole
#   overlay is at hand. Without that fact any but `default` is right. What belongs to the whole cluster
#   names none: that would be ignored.
# related_resources:
#   - https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
# custom:
#   requirements: [B6, G1]
#   severity: error
#   remediation: |
#     Let the overlay's `namespace:` set the namespace, add the Namespace object to the overlay, or list
#     the namespace in `namespaces` of the facts.
package policies.metadata.namespace_set

import data.policies.lib.kubernetes

# The kinds of Kubernetes itself that have no namespace, by API group.
_cluster_scoped := {
	"": {"ComponentStatus", "Namespace", "Node", "PersistentVolume"},
	"admissionregistration.k8s.io": {
		"MutatingAdmissionPolicy",
		"MutatingAdmissionPolicyBinding",
		"MutatingWebhookConfiguration",
		"ValidatingAdmissionPolicy",
		"ValidatingAdmissionPolicyBinding",
		"ValidatingWebhookConfiguration",
	},
	"apiextensions.k8s.io": {"CustomResourceDefinition"},
	"apiregistration.k8s.io": {"APIService"},
	"certificates.k8s.io": {"CertificateSigningRequest", "ClusterTrustBundle"},
	"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
	"internal.apiserver.k8s.io": {"StorageVersion"},
	"networking.k8s.io": {"IPAddress", "IngressClass", "ServiceCIDR"},
	"node.k8s.io": {"RuntimeClass"},
	"rbac.authorization.k8s.io": {"ClusterRole", "ClusterRoleBinding"},
	"resource.k8s.io": {"DeviceClass", "DeviceTaintRule", "ResourceSlice"},
	"scheduling.k8s.io": {"PriorityClass"},
	"storage.k8s.io": {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"},
}

deny contains result if {
	not _is_cluster_scoped
	not _is_unknown
	_namespace in {"", null}
	result := {
		"msg": sprintf("%s names no namespace", [kubernetes.describe(input)]),
		"path": ["metadata", "namespace"],
	}
}

deny contains result if {
	not _is_cluster_scoped
	not _namespace in {"", null}
	not _is_ours
	result := {
		"msg": sprintf("%s is in the namespace %s, which is none of ours", [kubernetes.describe(input), _namespace]),
		"path": ["metadata", "namespace"],
		"value": _namespace,
	}
}

deny contains result if {
	not _is_cluster_scoped
	_is_ours
	not _is_home
	result := {
		"msg": sprintf("%s is in the namespace %s, which is not for objects of the API group %q", [
			kubernetes.describe(input),
			_namespace,
			_group,
		]),
		"path": ["metadata", "namespace"],
		"value": _namespace,
	}
}

deny contains result if {
	not _is_cluster_scoped
	_is_ours
	kubernetes.inventory != []
	not _is_made
	result := {
		"msg": sprintf("%s is in the namespace %s, which the overlay does not make", [kubernetes.describe(input), _namespace]),
		"path": ["metadata", "namespace"],
		"value": _namespace,
	}
}

deny contains result if {
	_is_cluster_scoped
	not _namespace in {"", null}
	result := {
		"msg": sprintf("%s names the namespace %s, but belongs to the whole cluster", [kubernetes.describe(input), _namespace]),
		"path": ["metadata", "namespace"],
		"value": _namespace,
	}
}

_namespace := object.get(input, ["metadata", "namespace"], "")

# The core group has no name.
_group := group if {
	[group, _] := split(object.get(input, "apiVersion", ""), "/")
} else := ""

_is_cluster_scoped if input.kind in _cluster_scoped[_group]

# Custom resources may belong to the whole cluster too.
_is_cluster_scoped if {
	some kind in data.facts.cluster_scoped_kinds
	kind == sprintf("%s/%s", [_group, input.kind])
}

# Nothing tells whether a custom resource belongs to the whole cluster.
_is_unknown if {
	not data.facts.namespaces
	not data.facts.cluster_scoped_kinds
	contains(_group, ".")
	not endswith(_group, ".k8s.io")
}

_is_ours if {
	_namespace != "default"
	some namespace in data.facts.namespaces
	namespace.name == _namespace
}

_is_ours if {
	_namespace != "default"
	not data.facts.namespaces
}

_is_home if not data.facts.namespaces

_is_home if {
	some namespace in data.facts.namespaces
	namespace.name == _namespace
	_group in namespace.groups
}

_is_home if {
	some namespace in data.facts.namespaces
	namespace.name == _namespace
	not namespace.groups
	not _group in _settled_groups
}

_settled_groups := {group |
	some namespace in data.facts.namespaces
	some group in namespace.groups
}

_is_made if {
	some namespace in data.facts.namespaces
	namespace.name == _namespace
	namespace.existing
}

_is_made if _namespace in _made

# Without the fact, who knows?
_is_made if not data.facts.namespaces

_made := {o.metadata.name | some o in kubernetes.inventory; o.kind == "Namespace"}
