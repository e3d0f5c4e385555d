# METADATA
# title: All LoadBalancer Services share one address
# description: |
#   MetalLB gives several Services one address only if each asks for it, all with the same sharing key,
#   with ports of their own and with `externalTrafficPolicy: Cluster`; otherwise the last one waits
#   for an address for ever. The address must lie in a pool of the overlay. `Local` is refused by
#   services/no_nodeport already; what is refused here is anything else, silence included.
# related_resources:
#   - https://metallb.io/usage/#ip-address-sharing
#   - https://metallb.io/usage/#requesting-specific-ips
# custom:
#   requirements: [R4, B3, G10]
#   severity: error
#   generic: false
#   remediation: |
#     Annotate every LoadBalancer Service with the same `metallb.io/loadBalancerIPs`, an address of the
#     overlay's pool, and the same `metallb.io/allow-shared-ip`; give it ports that no other has and
#     `externalTrafficPolicy: Cluster`. Remove `loadBalancerClass`, `loadBalancerIP` and annotations
#     of `metallb.universe.tf`.
package policies.services.shared_address

import data.policies.lib.kubernetes

_address := "metallb.io/loadBalancerIPs"

_key := "metallb.io/allow-shared-ip"

deny contains result if {
	_is_load_balancer
	some annotation in [_address, _key]
	_annotation(input, annotation) == ""
	result := {
		"msg": sprintf("%s has no annotation %s", [kubernetes.describe(input), annotation]),
		"path": ["metadata", "annotations", annotation],
	}
}

# Which one is wrong? Those that differ from most.
deny contains result if {
	_is_load_balancer
	some annotation in [_address, _key]
	value := _annotation(input, annotation)
	value != ""
	usual := _usual(annotation)
	count(usual - {value}) > 0
	result := {
		"msg": sprintf("%s has %s %s, other Services have %s", [
			kubernetes.describe(input),
			annotation,
			value,
			concat(", ", usual - {value}),
		]),
		"path": ["metadata", "annotations", annotation],
		"value": value,
	}
}

deny contains result if {
	_is_load_balancer
	kubernetes.inventory != []
	address := _annotation(input, _address)
	address != ""
	not _in_a_pool(address)
	result := {
		"msg": sprintf("%s asks for %s, which is not the address of a pool of the overlay", [kubernetes.describe(input), address]),
		"path": ["metadata", "annotations", _address],
		"value": address,
	}
}

deny contains result if {
	_is_load_balancer
	some i, port in input.spec.ports
	some other in kubernetes.load_balancers
	_identity(other) != _identity(input)
	some other_port in other.spec.ports
	other_port.port == port.port
	kubernetes.protocol(other_port) == kubernetes.protocol(port)
	result := {
		"msg": sprintf("%s and %s both offer %s port %d on the one address", [
			kubernetes.describe(input),
			kubernetes.describe(other),
			kubernetes.protocol(port),
			port.port,
		]),
		"path": ["spec", "ports", i, "port"],
		"value": port.port,
	}
}

deny contains result if {
	_is_load_balancer
	policy := object.get(input.spec, "externalTrafficPolicy", "nothing")
	not policy in {"Cluster", "Local"}
	result := {
		"msg": sprintf("%s says %s for externalTrafficPolicy", [kubernetes.describe(input), policy]),
		"path": ["spec", "externalTrafficPolicy"],
		"value": policy,
	}
}

deny contains result if {
	_is_load_balancer
	some field in ["loadBalancerClass", "loadBalancerIP"]
	value := input.spec[field]
	result := {
		"msg": sprintf("%s sets %s to %v", [kubernetes.describe(input), field, value]),
		"path": ["spec", field],
		"value": value,
	}
}

deny contains result if {
	_is_load_balancer
	some annotation, value in input.metadata.annotations
	startswith(annotation, "metallb.universe.tf/")
	result := {
		"msg": sprintf("%s has the annotation %s of an old MetalLB", [kubernetes.describe(input), annotation]),
		"path": ["metadata", "annotations", annotation],
		"value": value,
	}
}

_is_load_balancer if {
	input.kind == "Service"
	input.spec.type == "LoadBalancer"
}

_annotation(service, annotation) := object.get(service, ["metadata", "annotations", annotation], "")

_identity(service) := [kubernetes.namespace(service), service.metadata.name]

# The value, or in a tie the values, that most LoadBalancer Services have.
_usual(annotation) := {value |
	some value, times in _times[annotation]
	times == max([n | some n in _times[annotation]])
}

_times[annotation] := {value: times |
	some service in kubernetes.load_balancers
	value := _annotation(service, annotation)
	value != ""
	times := count([1 | some other in kubernetes.load_balancers; _annotation(other, annotation) == value])
} if {
	some annotation in [_address, _key]
}

_in_a_pool(address) if {
	some pool in kubernetes.inventory
	pool.kind == "IPAddressPool"
	some range in pool.spec.addresses
	_holds(range, address)
}

_holds(range, address) if {
	net.cidr_is_valid(range)
	_is_address(address)
	net.cidr_contains(range, address)
}

# Of a range that is written as two addresses only these are known: a longer one is refused by
# services/address_pool anyway.
_holds(range, address) if address in {trim_space(end) | some end in split(range, "-")}

_is_address(text) if {
	some length in ["/32", "/128"]
	net.cidr_is_valid(concat("", [text, length]))
}
