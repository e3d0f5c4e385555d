# METADATA
# title: NetworkPolicies
# description: |
#   Whom a NetworkPolicy's peers and ports mean, as far as they are in the overlay. Ports are compared
#   as ranges of numbers, {"protocol": …, "low": …, "high": …}, for one end may say a name and the
#   other a number.
package policies.lib.network

import data.policies.lib.kubernetes

# directions is what stands where, for either direction of a NetworkPolicy.
directions := {
	"Ingress": {"rules": "ingress", "peers": "from"},
	"Egress": {"rules": "egress", "peers": "to"},
}

# policy_types(policy) is the directions that the policy isolates; the API server fills in the same.
policy_types(policy) := {type | some type in policy.spec.policyTypes} if {
	not kubernetes.missing(policy, ["spec", "policyTypes"])
}

policy_types(policy) := {"Ingress"} | {"Egress" | not kubernetes.missing(policy, ["spec", "egress"])} if {
	kubernetes.missing(policy, ["spec", "policyTypes"])
}

# pod_selector(policy) is the label selector of the policy's pods; without one it selects all.
pod_selector(policy) := object.get(policy, ["spec", "podSelector"], {})

# is_empty(selector) is true of a label selector that selects everything.
is_empty(selector) if {
	kubernetes.missing(selector, ["matchLabels"])
	kubernetes.missing(selector, ["matchExpressions"])
}

# policies is every NetworkPolicy of the overlay.
policies := [o | some o in kubernetes.inventory; o.kind == "NetworkPolicy"]

# policies_of(workload, direction) is every NetworkPolicy that selects the workload's pods and has a
# say in that direction.
policies_of(workload, direction) := [policy |
	some policy in _candidates(workload)
	direction in policy_types(policy)
	kubernetes.label_selector_matches(pod_selector(policy), kubernetes.pod_labels(workload))
]

# The policies of the namespace that name the workload's service, or none.
_candidates(workload) := object.union(
	object.get(_policies_by_service, [ns, kubernetes.workload_service_name(workload)], {}),
	object.get(_policies_by_service, [ns, ""], {}),
) if {
	ns := kubernetes.namespace(workload)
}

_policies_by_service[kubernetes.namespace(policy)][service][i] := policy if {
	some i, policy in policies
	service := object.get(pod_selector(policy), ["matchLabels", "app.kubernetes.io/name"], "")
}

# selected_by(policy) is every workload whose pods the policy selects.
selected_by(policy) := kubernetes.selected_by(pod_selector(policy), kubernetes.namespace(policy))

# peers(rule_peers, ns) is every workload of the overlay that a list of peers means, seen from the
# namespace of its policy.
peers(rule_peers, ns) := [workload |
	some peer in rule_peers
	some workload in _meant_by(peer, ns)
]

_meant_by(peer, ns) := kubernetes.selected_by(object.get(peer, "podSelector", {}), ns) if {
	not peer.ipBlock
	not peer.namespaceSelector
}

_meant_by(peer, ns) := [workload |
	some workload in kubernetes.workloads
	is_peer(peer, ns, workload)
] if {
	peer.namespaceSelector
}

# is_peer(peer, ns, workload): does a peer, seen from the namespace ns, mean the workload?
is_peer(peer, ns, workload) if {
	not peer.ipBlock
	_in_namespace(peer, ns, workload)
	kubernetes.label_selector_matches(object.get(peer, "podSelector", {}), kubernetes.pod_labels(workload))
}

_in_namespace(peer, ns, workload) if {
	not peer.namespaceSelector
	kubernetes.namespace(workload) == ns
}

_in_namespace(peer, _, workload) if {
	kubernetes.label_selector_matches(peer.namespaceSelector, _namespace_labels(kubernetes.namespace(workload)))
}

# The cluster gives every Namespace the label of its name.
_namespace_labels(name) := object.union_n(array.concat(
	[object.get(o, ["metadata", "labels"], {}) | some o in kubernetes.inventory; o.kind == "Namespace"; o.metadata.name == name],
	[{"kubernetes.io/metadata.name": name}],
))

# ranges(port, workload) is what a policy's port comes to in the workload's pods: a name is looked up
# and may be no port at all; no port means all of them.
ranges(port, workload) := {{
	"protocol": kubernetes.protocol(port),
	"low": container_port.containerPort,
	"high": container_port.containerPort,
} |
	some container_port in kubernetes.container_ports(workload)
	container_port.name == port.port
	kubernetes.protocol(container_port) == kubernetes.protocol(port)
} if {
	is_string(port.port)
}

ranges(port, _) := {{
	"protocol": kubernetes.protocol(port),
	"low": port.port,
	"high": object.get(port, "endPort", port.port),
}} if {
	is_number(port.port)
}

ranges(port, _) := {{"protocol": kubernetes.protocol(port), "low": 1, "high": 65535}} if {
	not "port" in object.keys(port)
}

# allows_peer(rule, peers_field, ns, workload): does the rule of a policy of the namespace ns mean the
# workload? One without peers means everybody.
allows_peer(rule, peers_field, _, _) if kubernetes.missing(rule, [peers_field])

allows_peer(rule, peers_field, ns, workload) if {
	some peer in rule[peers_field]
	is_peer(peer, ns, workload)
}

# allows_range(rule, workload, range): does the rule allow the range of the workload's ports? One
# without ports allows all.
allows_range(rule, _, _) if kubernetes.missing(rule, ["ports"])

allows_range(rule, workload, range) if {
	some port in rule.ports
	some candidate in ranges(port, workload)
	candidate.protocol == range.protocol
	candidate.low <= range.low
	range.high <= candidate.high
}
