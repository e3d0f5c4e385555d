package policies.services.address_pool_test

import data.policies.services.address_pool

_pool := {
	"kind": "IPAddressPool",
	"metadata": {"name": "pool", "namespace": "metallb-system"},
	"spec": {"autoAssign": false, "addresses": ["192.0.2.1/32"]},
}

_advertisement := {
	"kind": "L2Advertisement",
	"metadata": {"name": "layer2", "namespace": "metallb-system"},
	"spec": {"ipAddressPools": ["pool"]},
}

_paths(object, others) := paths if {
	paths := {result.path | some result in address_pool.deny} with input as object
		with data.inventory as array.concat(others, [object])
}

_changed(object, operation) := json.patch(object, [operation])

_pool_paths(operation) := _paths(_changed(_pool, operation), [_advertisement])

test_one_announced_address_is_allowed if {
	_paths(_pool, [_advertisement]) == set()
	_paths(_advertisement, [_pool]) == set()
}

test_without_an_inventory_it_is_not_asked_who_announces if {
	count(address_pool.deny) == 0 with input as _pool
}

test_every_way_to_write_one_address_is_allowed if {
	every range in ["2001:db8::1/128", "192.0.2.1-192.0.2.1", "192.0.2.1 - 192.0.2.1", "2001:db8::1-2001:db8::1"] {
		_pool_paths({"op": "replace", "path": "/spec/addresses/0", "value": range}) == set()
	}
}

test_all_else_is_denied if {
	every range in ["192.0.2.0/24", "192.0.2.1-192.0.2.2", "2001:db8::/32", "ADDRESS/32", "ADDRESS-ADDRESS", "192.0.2.1", ""] {
		_pool_paths({"op": "replace", "path": "/spec/addresses/0", "value": range}) == {["spec", "addresses", 0]}
	}
}

test_exactly_one_is_wanted if {
	_pool_paths({"op": "add", "path": "/spec/addresses/-", "value": "192.0.2.2/32"}) == {["spec", "addresses"]}
	_pool_paths({"op": "replace", "path": "/spec/addresses", "value": []}) == {["spec", "addresses"]}
	_pool_paths({"op": "remove", "path": "/spec/addresses"}) == {["spec", "addresses"]}
}

test_auto_assign_is_denied if {
	_pool_paths({"op": "replace", "path": "/spec/autoAssign", "value": true}) == {["spec", "autoAssign"]}
	_pool_paths({"op": "remove", "path": "/spec/autoAssign"}) == {["spec", "autoAssign"]}
}

test_a_pool_that_nobody_announces_is_denied if {
	_paths(_pool, []) == {["metadata", "name"]}
	_paths(_pool, [_changed(_advertisement, {"op": "remove", "path": "/spec/ipAddressPools"})]) == {["metadata", "name"]}
	_paths(_pool, [_changed(_advertisement, {"op": "replace", "path": "/metadata/namespace", "value": "apps"})]) == {["metadata", "name"]}
}

test_an_advertisement_of_nothing_is_denied if {
	_paths(_advertisement, []) == {["spec", "ipAddressPools", 0]}
}

test_service_selectors_are_denied if {
	selective := _changed(_advertisement, {"op": "add", "path": "/spec/serviceSelectors", "value": [{"matchLabels": {"a": "b"}}]})
	_paths(selective, [_pool]) == {["spec", "serviceSelectors"]}
}
