# METADATA
# title: The cluster refuses node ports
# description: |
#   The policies see what is in git; the quota also refuses what somebody types. A Namespace with
#   Services has a ResourceQuota that allows no node port, without a scope, for a scoped one counts no
#   Services.
# related_resources:
#   - https://kubernetes.io/docs/concepts/policy/resource-quotas/#object-count-quota
# custom:
#   requirements: [B2]
#   severity: error
#   generic: false
#   remediation: |
#     Add a ResourceQuota with `services.nodeports: "0"` under `hard` and without `scopes` to the
#     namespace.
package policies.namespaces.no_node_ports_quota

import data.policies.lib.kubernetes

_resource := "services.nodeports"

deny contains result if {
	input.kind == "Namespace"
	some service in kubernetes.inventory
	service.kind == "Service"
	kubernetes.namespace(service) == input.metadata.name
	not _is_limited(input.metadata.name)
	result := {
		"msg": sprintf("%s has Services, but no ResourceQuota for %s", [kubernetes.describe(input), _resource]),
		"path": ["metadata", "name"],
		"value": input.metadata.name,
	}
}

deny contains result if {
	input.kind == "ResourceQuota"
	limit := input.spec.hard[_resource]
	not limit in {"0", 0}
	result := {
		"msg": sprintf("%s allows %v node ports", [kubernetes.describe(input), limit]),
		"path": ["spec", "hard", _resource],
		"value": limit,
	}
}

_is_limited(name) if {
	some quota in kubernetes.inventory
	quota.kind == "ResourceQuota"
	kubernetes.namespace(quota) == name
	_resource in object.keys(quota.spec.hard)
	not quota.spec.scopes
	not quota.spec.scopeSelector
}
