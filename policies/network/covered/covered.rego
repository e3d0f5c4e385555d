# METADATA
# title: Policies cover every workload and let the public in
# description: |
#   Every workload has a NetworkPolicy that selects its pods and not just all pods, so that somebody
#   thought of what it needs. And what a LoadBalancer Service publishes is let in from everybody;
#   otherwise the port answers nobody, while everything looks sound.
# related_resources:
#   - https://kubernetes.io/docs/concepts/services-networking/network-policies/
# custom:
#   requirements: [B1, R4]
#   severity: error
#   remediation: |
#     Add a NetworkPolicy whose `podSelector` selects the workload, with a rule without `from` for the
#     ports that a LoadBalancer Service publishes.
package policies.network.covered

import data.policies.lib.kubernetes
import data.policies.lib.network

deny contains result if {
	kubernetes.pod_path(input)
	kubernetes.inventory != []
	not _has_its_own
	result := {
		"msg": sprintf("no NetworkPolicy is about %s", [kubernetes.describe(input)]),
		"path": array.concat(kubernetes.pod_path(input), ["metadata", "labels"]),
		"value": kubernetes.pod_labels(input),
	}
}

deny contains result if {
	input.kind == "Service"
	input.spec.type == "LoadBalancer"
	some i, port in input.spec.ports
	some workload in kubernetes.selected_by_service(input)
	some container_port in kubernetes.target_ports(port, workload)
	not _lets_all_in(workload, container_port)
	result := {
		"msg": sprintf("%s publishes port %d, but no NetworkPolicy lets everybody reach port %d of %s", [
			kubernetes.describe(input),
			port.port,
			container_port.containerPort,
			kubernetes.describe(workload),
		]),
		"path": ["spec", "ports", i],
		"value": port.port,
	}
}

_has_its_own if {
	some direction, _ in network.directions
	some policy in network.policies_of(input, direction)
	not network.is_empty(network.pod_selector(policy))
}

_lets_all_in(workload, container_port) if {
	some policy in network.policies_of(workload, "Ingress")
	some rule in policy.spec.ingress
	kubernetes.missing(rule, ["from"])
	network.allows_range(rule, workload, {
		"protocol": kubernetes.protocol(container_port),
		"low": container_port.containerPort,
		"high": container_port.containerPort,
	})
}
