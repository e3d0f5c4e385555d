# METADATA
# title: Everything is denied by default
# description: |
#   In a namespace without NetworkPolicies every pod may talk to every other. A namespace with
#   workloads must have one that selects all pods, isolates them both ways and allows nothing, so that
#   a new pod can do nothing until a policy of its own says what.
# related_resources:
#   - https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-deny-all-ingress-and-all-egress-traffic
# custom:
#   requirements: [B1, R4]
#   severity: error
#   remediation: |
#     Add a NetworkPolicy with `podSelector: {}`, `policyTypes: [Ingress, Egress]` and no rules to the
#     namespace.
package policies.network.default_deny

import data.policies.lib.kubernetes
import data.policies.lib.network

deny contains result if {
	input.kind == "Namespace"
	some workload in kubernetes.workloads
	kubernetes.namespace(workload) == input.metadata.name
	not _is_denied(input.metadata.name)
	result := {
		"msg": sprintf("%s has pods, but no NetworkPolicy that denies them all traffic both ways", [kubernetes.describe(input)]),
		"path": ["metadata", "name"],
		"value": input.metadata.name,
	}
}

_is_denied(name) if {
	some policy in network.policies
	kubernetes.namespace(policy) == name
	network.is_empty(network.pod_selector(policy))
	every type, fields in network.directions {
		type in network.policy_types(policy)
		kubernetes.missing(policy, ["spec", fields.rules])
	}
}
