# METADATA
# title: Both ends of a connection agree
# description: |
#   Where everything is denied, a connection needs a rule at either end: one that lets it out and one
#   that lets it in. A rule whose other end does not agree is an allowance without effect, and a
#   service that waits for an answer. Only workloads of the overlay are compared, and only rules that
#   name their peers. A port that is named must be a port of the pods that it is meant for.
# related_resources:
#   - https://kubernetes.io/docs/concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation
# custom:
#   requirements: [B1, R4]
#   severity: error
#   remediation: |
#     Allow the connection at its other end too, with the same port, or remove the rule.
package policies.network.both_ends

import data.policies.lib.kubernetes
import data.policies.lib.network

deny contains result if {
	input.kind == "NetworkPolicy"
	some i, rule in input.spec.egress
	some j, port in rule.ports
	port.port
	some server in network.peers(rule.to, kubernetes.namespace(input))
	some client in network.selected_by(input)
	some range in network.ranges(port, server)
	not _lets_in(server, client, range)
	result := {
		"msg": sprintf("%s lets %s reach port %v of %s, whose NetworkPolicies do not let it in", [
			kubernetes.describe(input),
			kubernetes.describe(client),
			port.port,
			kubernetes.describe(server),
		]),
		"path": ["spec", "egress", i, "ports", j],
		"value": port.port,
	}
}

deny contains result if {
	input.kind == "NetworkPolicy"
	some i, rule in input.spec.ingress
	some j, port in rule.ports
	port.port
	some client in network.peers(rule.from, kubernetes.namespace(input))
	some server in network.selected_by(input)
	some range in network.ranges(port, server)
	not _lets_out(client, server, range)
	result := {
		"msg": sprintf("%s lets %s in at port %v of %s, but its NetworkPolicies do not let it out", [
			kubernetes.describe(input),
			kubernetes.describe(client),
			port.port,
			kubernetes.describe(server),
		]),
		"path": ["spec", "ingress", i, "ports", j],
		"value": port.port,
	}
}

deny contains result if {
	input.kind == "NetworkPolicy"
	some type, fields in network.directions
	some i, rule in input.spec[fields.rules]
	some j, port in rule.ports
	port.port
	some server in _servers(type, rule)
	count(network.ranges(port, server)) == 0
	result := {
		"msg": sprintf("%s means the %s port %v of %s, which has none of that name", [
			kubernetes.describe(input),
			kubernetes.protocol(port),
			port.port,
			kubernetes.describe(server),
		]),
		"path": ["spec", fields.rules, i, "ports", j, "port"],
		"value": port.port,
	}
}

# Whose ports a rule means: of the selected pods if it lets in, of the peers if it lets out.
_servers("Ingress", _) := network.selected_by(input)

_servers("Egress", rule) := network.peers(rule.to, kubernetes.namespace(input))

# A pod that no policy isolates lets everybody in, and out.
_lets_in(server, _, _) if network.policies_of(server, "Ingress") == []

_lets_in(server, client, range) if {
	some policy in network.policies_of(server, "Ingress")
	some rule in policy.spec.ingress
	network.allows_peer(rule, "from", kubernetes.namespace(policy), client)
	network.allows_range(rule, server, range)
}

_lets_out(client, _, _) if network.policies_of(client, "Egress") == []

_lets_out(client, server, range) if {
	some policy in network.policies_of(client, "Egress")
	some rule in policy.spec.egress
	network.allows_peer(rule, "to", kubernetes.namespace(policy), server)
	network.allows_range(rule, server, range)
}
