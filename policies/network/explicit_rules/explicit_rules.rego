# METADATA
# title: Every allowance names its peers and ports
# description: |
#   What a rule leaves out it allows: no peers is everybody, no ports is every port, an empty selector
#   is all pods. Two exceptions: a port that a LoadBalancer Service publishes may be open to
#   everybody, because the load balancer hides who the client is; and services that ask the API server
#   or the kubelet, which have no label and no known address, may be allowed the ports of these alone
#   (`egress_by_port` in the facts). What is published is known only with the whole overlay at hand;
#   without it, rules without `from` are not judged.
# related_resources:
#   - https://kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-to-and-from-selectors
# custom:
#   requirements: [B1, R4]
#   severity: error
#   remediation: |
#     Name the peers by a `podSelector`, together with a `namespaceSelector` if they live elsewhere,
#     list the ports, and state `policyTypes`.
package policies.network.explicit_rules

import data.policies.lib.kubernetes
import data.policies.lib.network

# A direction that is not stated is guessed from the rules, or its rules are without effect.
deny contains result if {
	input.kind == "NetworkPolicy"
	kubernetes.missing(input, ["spec", "policyTypes"])
	result := {
		"msg": sprintf("%s does not say which directions it is about", [kubernetes.describe(input)]),
		"path": ["spec", "policyTypes"],
	}
}

deny contains result if {
	input.kind == "NetworkPolicy"
	not kubernetes.missing(input, ["spec", "policyTypes"])
	some type, fields in network.directions
	not kubernetes.missing(input, ["spec", fields.rules])
	not type in input.spec.policyTypes
	result := {
		"msg": sprintf("%s has %s rules without effect", [kubernetes.describe(input), fields.rules]),
		"path": ["spec", "policyTypes"],
		"value": input.spec.policyTypes,
	}
}

deny contains result if {
	some entry in _rules
	kubernetes.missing(entry.rule, ["ports"])
	result := {
		"msg": sprintf("%s allows every port", [kubernetes.describe(input)]),
		"path": array.concat(entry.path, ["ports"]),
	}
}

deny contains result if {
	some entry in _rules
	some i, port in entry.rule.ports
	not "port" in object.keys(port)
	result := {
		"msg": sprintf("%s allows every %s port", [kubernetes.describe(input), kubernetes.protocol(port)]),
		"path": array.concat(entry.path, ["ports", i, "port"]),
	}
}

deny contains result if {
	some entry in _rules
	some i, peer in entry.rule[entry.peers]
	not _is_explicit(peer)
	result := {
		"msg": sprintf("%s does not say which pods it means by %s", [kubernetes.describe(input), json.marshal(peer)]),
		"path": array.concat(entry.path, [entry.peers, i]),
		"value": peer,
	}
}

deny contains result if {
	some entry in _rules
	entry.peers == "from"
	_is_for_all(entry)
	some i, port in entry.rule.ports
	some workload in network.selected_by(input)
	some range in network.ranges(port, workload)
	not _is_public(range, workload)
	result := {
		"msg": sprintf("%s opens port %v of %s to everybody, but no Service publishes it", [
			kubernetes.describe(input),
			port.port,
			kubernetes.describe(workload),
		]),
		"path": array.concat(entry.path, ["ports", i]),
		"value": port.port,
	}
}

deny contains result if {
	some entry in _rules
	entry.peers == "to"
	_is_for_all(entry)
	some i, port in entry.rule.ports
	not _is_asked_by_port(port)
	result := {
		"msg": sprintf("%s allows port %v of everybody", [kubernetes.describe(input), port.port]),
		"path": array.concat(entry.path, ["ports", i]),
		"value": port.port,
	}
}

_rules contains {"rule": rule, "peers": fields.peers, "path": ["spec", fields.rules, i]} if {
	input.kind == "NetworkPolicy"
	some fields in network.directions
	some i, rule in input.spec[fields.rules]
}

_is_for_all(entry) if kubernetes.missing(entry.rule, [entry.peers])

_is_explicit(peer) if {
	not network.is_empty(object.get(peer, "podSelector", {}))
	not _is_everywhere(peer)
}

_is_explicit(peer) if not endswith(peer.ipBlock.cidr, "/0")

_is_everywhere(peer) if network.is_empty(peer.namespaceSelector)

# Is every port of the range published by a Service? That a node port is no way to do it is another
# policy's concern.
_is_public(range, workload) if {
	range.low <= range.high
	published := {port.containerPort |
		some service in kubernetes.inventory
		service.kind == "Service"
		service.spec.type in {"LoadBalancer", "NodePort"}
		some selected in kubernetes.selected_by_service(service)
		selected == workload
		some service_port in service.spec.ports
		some port in kubernetes.target_ports(service_port, workload)
		kubernetes.protocol(port) == range.protocol
	}
	every number in numbers.range(range.low, range.high) {
		number in published
	}
}

# An allowance belongs to a service, so the policy must select nothing but its pods.
_is_asked_by_port(port) if {
	some exception in data.facts.egress_by_port
	input.spec.podSelector.matchLabels["app.kubernetes.io/name"] == exception.service
	port.port in exception.ports
	kubernetes.protocol(port) == "TCP"
	not port.endPort
}
