# METADATA
# title: Passive ports are the same everywhere
# description: |
#   A server that opens ports on demand names them to the client by number, and its own address too.
#   The range is written in the server's configuration; if the container or the Service has other
#   ports, or the Service renumbers them, some transfers hang and others do not. What the server is
#   and where its range is written are facts (`passive_ports`); its passive ports are recognised by
#   the beginning of their names.
# related_resources:
#   - http://www.proftpd.org/docs/directives/linked/config_ref_PassivePorts.html
# custom:
#   requirements: [R8]
#   severity: error
#   facts: [passive_ports]
#   remediation: |
#     Write one range of at least `minimum` ports in the configuration and give the container and the
#     Service exactly these ports, each to the same number; set the address variable to the load
#     balancer's address.
package policies.services.passive_ports

import data.policies.lib.kubernetes
import data.policies.lib.references

deny contains result if {
	input.kind == "ConfigMap"
	some server in data.facts.passive_ports
	_is_configuration(input, server)
	ranges := _ranges(input, server)
	count(ranges) != 1
	result := {
		"msg": sprintf("%s of %s names %d passive ranges instead of one", [
			server.configuration.key,
			kubernetes.describe(input),
			count(ranges),
		]),
		"path": ["data", server.configuration.key],
	}
}

deny contains result if {
	input.kind == "ConfigMap"
	some server in data.facts.passive_ports
	_is_configuration(input, server)
	some range in _ranges(input, server)
	count(_members(range)) < server.minimum
	result := {
		"msg": sprintf("%s of %s names the passive ports %d to %d, fewer than %d", [
			server.configuration.key,
			kubernetes.describe(input),
			range[0],
			range[1],
			server.minimum,
		]),
		"path": ["data", server.configuration.key],
		"value": range,
	}
}

# Without its configuration nothing below would compare anything.
deny contains result if {
	some server in data.facts.passive_ports
	_serves(server)
	kubernetes.inventory != []
	count(_configurations(server)) == 0
	result := {
		"msg": sprintf("no ConfigMap %s tells which passive ports %s has", [
			server.configuration.name,
			kubernetes.describe(input),
		]),
		"path": array.concat(kubernetes.pod_path(input), ["spec", "volumes"]),
	}
}

deny contains result if {
	some server in data.facts.passive_ports
	_serves(server)
	configured := _configured(server)
	opened := {port.containerPort |
		some port in kubernetes.container_ports(input)
		startswith(port.name, server.port_name)
	}
	count(configured) > 0
	opened != configured
	result := {
		"msg": sprintf("%s does not open the passive ports of its configuration: %s", [
			kubernetes.describe(input),
			_difference(configured, opened),
		]),
		"path": array.concat(kubernetes.pod_path(input), ["spec", "containers"]),
	}
}

deny contains result if {
	some server in data.facts.passive_ports
	_is_service(server)
	configured := _configured(server)
	offered := {port.port | some port in input.spec.ports; startswith(port.name, server.port_name)}
	count(configured) > 0
	offered != configured
	result := {
		"msg": sprintf("%s does not offer the passive ports of the configuration: %s", [
			kubernetes.describe(input),
			_difference(configured, offered),
		]),
		"path": ["spec", "ports"],
	}
}

deny contains result if {
	some server in data.facts.passive_ports
	_is_service(server)
	some i, port in input.spec.ports
	startswith(port.name, server.port_name)
	some workload in kubernetes.selected_by_service(input)
	some container_port in kubernetes.target_ports(port, workload)
	container_port.containerPort != port.port
	result := {
		"msg": sprintf("%s sends port %d on to port %d, but the client is told one number for both", [
			kubernetes.describe(input),
			port.port,
			container_port.containerPort,
		]),
		"path": ["spec", "ports", i, "targetPort"],
		"value": object.get(port, "targetPort", null),
	}
}

deny contains result if {
	some server in data.facts.passive_ports
	_serves(server)
	count(_variables(server)) == 0
	result := {
		"msg": sprintf("no container of %s is told its public address by %s", [
			kubernetes.describe(input),
			server.address_variable,
		]),
		"path": array.concat(kubernetes.pod_path(input), ["spec", "containers"]),
	}
}

deny contains result if {
	some server in data.facts.passive_ports
	_serves(server)
	some service in kubernetes.named("Service", kubernetes.namespace(input), server.service)
	address := service.metadata.annotations["metallb.io/loadBalancerIPs"]
	some variable in _variables(server)
	variable.value != address
	result := {
		"msg": sprintf("%s of %s is %q, the load balancer's address is %s", [
			server.address_variable,
			kubernetes.describe(input),
			variable.value,
			address,
		]),
		"path": variable.path,
		"value": variable.value,
	}
}

_serves(server) if {
	kubernetes.workload_service_name(input) == server.service
	count(kubernetes.serving_containers(input)) > 0
}

_is_service(server) if {
	input.kind == "Service"
	input.metadata.name == server.service
}

_is_configuration(object, server) if {
	regex.replace(object.metadata.name, references.content_hash, "") == server.configuration.name
}

_configurations(server) := [config |
	some config in kubernetes.peers("ConfigMap")
	_is_configuration(config, server)
]

_ranges(config, server) := {[to_number(match[1]), to_number(match[2])] |
	text := config.data[server.configuration.key]
	some match in regex.find_all_string_submatch_n(server.configuration.pattern, text, -1)
}

_configured(server) := {number |
	some config in _configurations(server)
	some range in _ranges(config, server)
	some number in _members(range)
}

# numbers.range would count down from a first port that is higher than the last.
_members(range) := {number |
	range[0] <= range[1]
	range[1] <= 65535
	some number in numbers.range(range[0], range[1])
}

_difference(configured, found) := sprintf("missing %v, too many %v", [sort(configured - found), sort(found - configured)])

_variables(server) := {variable |
	some entry in kubernetes.serving_containers(input)
	some i, env in entry.container.env
	env.name == server.address_variable
	variable := {
		"value": object.get(env, "value", ""),
		"path": array.concat(entry.path, ["env", i, "value"]),
	}
}
