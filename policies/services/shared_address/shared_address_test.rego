package policies.services.shared_address_test

import data.policies.services.shared_address

_service(name, port) := {
	"kind": "Service",
	"metadata": {
		"name": name,
		"namespace": "apps",
		"annotations": {"metallb.io/loadBalancerIPs": "192.0.2.1", "metallb.io/allow-shared-ip": "apps"},
	},
	"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Cluster", "ports": [{"port": port}]},
}

_web := _service("web", 443)

_mail := _service("mail", 25)

_chat := _service("chat", 5222)

_pool(addresses) := {"kind": "IPAddressPool", "metadata": {"name": "pool"}, "spec": {"addresses": addresses}}

_others := [_mail, _chat, _pool(["192.0.2.1/32"])]

_paths(object) := _paths_among(object, _others)

_paths_among(object, others) := paths if {
	paths := {result.path | some result in shared_address.deny} with input as object
		with data.inventory as array.concat(others, [object])
}

_address_path := ["metadata", "annotations", "metallb.io/loadBalancerIPs"]

_key_path := ["metadata", "annotations", "metallb.io/allow-shared-ip"]

test_sharing_is_allowed if _paths(_web) == set()

test_without_an_inventory_the_annotations_must_be_there if {
	count(shared_address.deny) == 0 with input as _web
	count(shared_address.deny) == 2 with input as json.remove(_web, ["/metadata/annotations"])
}

test_cluster_ip_services_are_not_asked if {
	_paths({"kind": "Service", "metadata": {"name": "db"}, "spec": {"ports": [{"port": 443}]}}) == set()
}

test_missing_annotations_are_denied if {
	_paths(json.remove(_web, ["/metadata/annotations/metallb.io~1loadBalancerIPs"])) == {_address_path}
	_paths(json.remove(_web, ["/metadata/annotations/metallb.io~1allow-shared-ip"])) == {_key_path}
}

test_an_empty_annotation_is_denied if {
	_paths(json.patch(_web, [{"op": "replace", "path": "/metadata/annotations/metallb.io~1allow-shared-ip", "value": ""}])) == {_key_path}
}

test_another_key_is_denied_where_it_stands if {
	odd := json.patch(_web, [{"op": "replace", "path": "/metadata/annotations/metallb.io~1allow-shared-ip", "value": "mine"}])
	_paths(odd) == {_key_path}
	_paths_among(_mail, [odd, _chat, _pool(["192.0.2.1/32"])]) == set()
}

test_of_two_that_differ_both_are_denied if {
	odd := json.patch(_web, [{"op": "replace", "path": "/metadata/annotations/metallb.io~1allow-shared-ip", "value": "mine"}])
	_paths_among(odd, [_mail, _pool(["192.0.2.1/32"])]) == {_key_path}
	_paths_among(_mail, [odd, _pool(["192.0.2.1/32"])]) == {_key_path}
}

test_an_address_outside_the_pool_is_denied if {
	every pool in [["192.0.2.2/32"], ["192.0.2.2-192.0.2.2"], ["ADDRESS/32"], []] {
		_paths_among(_web, [_pool(pool)]) == {_address_path}
	}
	_paths_among(_web, []) == {_address_path}
}

test_every_way_to_write_a_pool_is_known if {
	every pool in [["192.0.2.1/32"], ["192.0.2.0/24"], ["192.0.2.1-192.0.2.1"], ["198.51.100.1/32", "192.0.2.1 - 192.0.2.9"]] {
		_paths_among(_web, [_pool(pool)]) == set()
	}
}

test_a_list_of_addresses_is_denied if {
	every value in ["192.0.2.1,192.0.2.2", "192.0.2.1/32", "ADDRESS"] {
		_paths(json.patch(_web, [{"op": "replace", "path": "/metadata/annotations/metallb.io~1loadBalancerIPs", "value": value}])) == {_address_path}
	}
}

test_a_port_that_is_taken_is_denied if {
	_paths(json.patch(_web, [{"op": "replace", "path": "/spec/ports/0/port", "value": 25}])) == {["spec", "ports", 0, "port"]}
	_paths(json.patch(_web, [{"op": "replace", "path": "/spec/ports/0", "value": {"port": 25, "protocol": "UDP"}}])) == set()
}

test_a_namesake_elsewhere_is_another_service if {
	other := json.patch(_web, [{"op": "replace", "path": "/metadata/namespace", "value": "elsewhere"}])
	_paths_among(_web, [other, _pool(["192.0.2.1/32"])]) == {["spec", "ports", 0, "port"]}
}

test_the_traffic_policy_must_be_said if {
	_paths(json.remove(_web, ["/spec/externalTrafficPolicy"])) == {["spec", "externalTrafficPolicy"]}
	_paths(json.patch(_web, [{"op": "replace", "path": "/spec/externalTrafficPolicy", "value": "Node"}])) == {["spec", "externalTrafficPolicy"]}
}

test_local_is_left_to_no_nodeport if {
	_paths(json.patch(_web, [{"op": "replace", "path": "/spec/externalTrafficPolicy", "value": "Local"}])) == set()
}

test_other_ways_to_an_address_are_denied if {
	_paths(json.patch(_web, [{"op": "add", "path": "/spec/loadBalancerClass", "value": "example.com/other"}])) == {["spec", "loadBalancerClass"]}
	_paths(json.patch(_web, [{"op": "add", "path": "/spec/loadBalancerIP", "value": "192.0.2.1"}])) == {["spec", "loadBalancerIP"]}
	_paths(json.patch(_web, [{"op": "add", "path": "/metadata/annotations/metallb.universe.tf~1address-pool", "value": "pool"}])) == {["metadata", "annotations", "metallb.universe.tf/address-pool"]}
}
