# METADATA
# title: A reserved port belongs to one service
# description: |
#   Some ports belong to one service alone (`reserved_ports` in the facts): no other may open them in
#   a container, offer them on its Service, or lead to them by a Service's target port. A target port
#   given by name is looked up in the pods that the Service selects.
# related_resources:
#   - https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports
# custom:
#   requirements: [B4, R4]
#   severity: error
#   facts: [reserved_ports]
#   remediation: |
#     Give the service the port that is its own, or, if it is to own this one, say so in
#     `reserved_ports` of the facts.
package policies.services.web_ports

import data.policies.lib.kubernetes

deny contains result if {
	some entry in kubernetes.containers(input)
	some i, port in entry.container.ports
	some reserved in data.facts.reserved_ports
	port.containerPort == reserved.port
	not kubernetes.workload_service_name(input) == reserved.service
	result := {
		"msg": sprintf("%s opens port %d, which belongs to %s", [
			kubernetes.describe_container(input, entry),
			reserved.port,
			reserved.service,
		]),
		"path": array.concat(entry.path, ["ports", i, "containerPort"]),
		"value": port.containerPort,
	}
}

deny contains result if {
	input.kind == "Service"
	some i, port in input.spec.ports
	some reserved in data.facts.reserved_ports
	port.port == reserved.port
	not kubernetes.service_name(input) == reserved.service
	result := {
		"msg": sprintf("%s offers port %d, which belongs to %s", [
			kubernetes.describe(input),
			reserved.port,
			reserved.service,
		]),
		"path": ["spec", "ports", i, "port"],
		"value": port.port,
	}
}

deny contains result if {
	input.kind == "Service"
	some i, port in input.spec.ports
	some reserved in data.facts.reserved_ports
	reserved.port in _target_numbers(port)
	not kubernetes.service_name(input) == reserved.service
	result := {
		"msg": sprintf("%s leads to port %d of a container, which belongs to %s", [
			kubernetes.describe(input),
			reserved.port,
			reserved.service,
		]),
		"path": ["spec", "ports", i, "targetPort"],
		"value": port.targetPort,
	}
}

# What a Service's target port comes to: a number is itself, a name is looked up.
_target_numbers(port) := {port.targetPort} if is_number(port.targetPort)

_target_numbers(port) := numbers if {
	is_string(port.targetPort)
	numbers := {container_port.containerPort |
		some workload in kubernetes.selected_by({"matchLabels": input.spec.selector}, kubernetes.namespace(input))
		some entry in kubernetes.containers(workload)
		some container_port in entry.container.ports
		container_port.name == port.targetPort
	}
}
