# METADATA
# title: Services lead to ports that are open
# description: |
#   The target port of a Service, by name or by number, must be an open port of every workload that
#   the Service selects; the cluster does not complain of one that is not. Ports have names, so that
#   Services, probes and policies can mean the port and not its number.
# related_resources:
#   - https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports
# custom:
#   requirements: [B5]
#   severity: error
#   remediation: |
#     Name the port of the container and the port of the Service, and let `targetPort` be the name of
#     a port of the container that has the same protocol.
package policies.references.service_ports

import data.policies.lib.kubernetes

deny contains result if {
	input.kind == "Service"
	some i, port in input.spec.ports
	some workload in kubernetes.selected_by_service(input)
	count(kubernetes.target_ports(port, workload)) == 0
	target := object.get(port, "targetPort", port.port)
	result := {
		"msg": sprintf("%s leads to port %v (%s), which %s does not open", [
			kubernetes.describe(input),
			target,
			kubernetes.protocol(port),
			kubernetes.describe(workload),
		]),
		"path": ["spec", "ports", i, "targetPort"],
		"value": target,
	}
}

deny contains result if {
	input.kind == "Service"
	some i, port in input.spec.ports
	object.get(port, "name", "") == ""
	result := {
		"msg": sprintf("port %v of %s has no name", [port.port, kubernetes.describe(input)]),
		"path": ["spec", "ports", i, "name"],
	}
}

deny contains result if {
	some entry in kubernetes.containers(input)
	some i, port in entry.container.ports
	object.get(port, "name", "") == ""
	result := {
		"msg": sprintf("port %v of %s has no name", [
			object.get(port, "containerPort", "(no number)"),
			kubernetes.describe_container(input, entry),
		]),
		"path": array.concat(entry.path, ["ports", i, "name"]),
	}
}
