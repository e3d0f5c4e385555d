# METADATA
# title: The pool holds one address and is announced
# description: |
#   There is one address for all. A pool of more would give a Service that forgot to ask for it an
#   address of its own, and so would `autoAssign`. MetalLB announces only a pool that an
#   L2Advertisement beside it names, and does not share an address whose advertisement picks Services.
# related_resources:
#   - https://metallb.io/configuration/
#   - https://metallb.io/configuration/_advanced_l2_configuration/
# custom:
#   requirements: [B3, R4]
#   severity: error
#   generic: false
#   remediation: |
#     Write one address as `<IPv4>/32`, `<IPv6>/128` or `<address>-<address>`, set
#     `autoAssign: false`, and name the pool in an L2Advertisement without `serviceSelectors`.
package policies.services.address_pool

import data.policies.lib.kubernetes

deny contains result if {
	input.kind == "IPAddressPool"
	addresses := [address | some address in input.spec.addresses]
	count(addresses) != 1
	result := {
		"msg": sprintf("%s has %d address ranges instead of one", [kubernetes.describe(input), count(addresses)]),
		"path": ["spec", "addresses"],
		"value": addresses,
	}
}

deny contains result if {
	input.kind == "IPAddressPool"
	some i, range in input.spec.addresses
	not _is_single(range)
	result := {
		"msg": sprintf("%s holds %v, which is not one address", [kubernetes.describe(input), range]),
		"path": ["spec", "addresses", i],
		"value": range,
	}
}

deny contains result if {
	input.kind == "IPAddressPool"
	not _waits_to_be_asked
	result := {
		"msg": sprintf("%s gives its address to any Service", [kubernetes.describe(input)]),
		"path": ["spec", "autoAssign"],
		"value": object.get(input, ["spec", "autoAssign"], null),
	}
}

deny contains result if {
	input.kind == "IPAddressPool"
	kubernetes.inventory != []
	not input.metadata.name in _advertised
	result := {
		"msg": sprintf("no L2Advertisement of its namespace names %s", [kubernetes.describe(input)]),
		"path": ["metadata", "name"],
		"value": input.metadata.name,
	}
}

deny contains result if {
	input.kind == "L2Advertisement"
	kubernetes.inventory != []
	some i, name in input.spec.ipAddressPools
	not name in {pool.metadata.name | some pool in kubernetes.peers("IPAddressPool")}
	result := {
		"msg": sprintf("%s names the pool %s, which its namespace does not have", [kubernetes.describe(input), name]),
		"path": ["spec", "ipAddressPools", i],
		"value": name,
	}
}

deny contains result if {
	input.kind == "L2Advertisement"
	not kubernetes.missing(input, ["spec", "serviceSelectors"])
	result := {
		"msg": sprintf("%s picks Services, so that they cannot share an address", [kubernetes.describe(input)]),
		"path": ["spec", "serviceSelectors"],
		"value": input.spec.serviceSelectors,
	}
}

_waits_to_be_asked if input.spec.autoAssign == false

_advertised := {name |
	some advertisement in kubernetes.peers("L2Advertisement")
	some name in advertisement.spec.ipAddressPools
}

_is_single(range) if _is_host(range)

_is_single(range) if {
	[first, last] := [trim_space(end) | some end in split(range, "-")]
	first == last
	some length in ["/32", "/128"]
	_is_host(concat("", [first, length]))
}

_is_host(cidr) if {
	endswith(cidr, "/32")
	not contains(cidr, ":")
	net.cidr_is_valid(cidr)
}

_is_host(cidr) if {
	endswith(cidr, "/128")
	net.cidr_is_valid(cidr)
}
