package policies.services.service_types_test

import data.policies.services.service_types

_facts := {"service_types": {"web": "LoadBalancer", "db": "ClusterIP"}}

_service(name, spec) := {"kind": "Service", "metadata": {"name": name, "namespace": "apps"}, "spec": spec}

_paths(object, inventory) := paths if {
	paths := {result.path | some result in service_types.deny} with input as object
		with data.inventory as inventory
		with data.facts as _facts
}

_type_paths(name, spec) := _paths(_service(name, spec), [])

test_agreed_types_are_allowed if {
	_type_paths("web", {"type": "LoadBalancer"}) == set()
	_type_paths("db", {"type": "ClusterIP"}) == set()
}

test_no_type_is_cluster_ip if {
	_type_paths("db", {}) == set()
	_type_paths("web", {}) == {["spec", "type"]}
	_type_paths("db", {"clusterIP": "None"}) == set()
}

test_other_types_are_denied if {
	every type in ["ClusterIP", "NodePort", "ExternalName"] {
		_type_paths("web", {"type": type}) == {["spec", "type"]}
	}
	every type in ["LoadBalancer", "NodePort", "ExternalName"] {
		_type_paths("db", {"type": type}) == {["spec", "type"]}
	}
}

test_a_service_without_agreement_stays_inside if {
	_type_paths("web-status", {"type": "ClusterIP", "clusterIP": "None"}) == set()
	_type_paths("web-status", {"type": "LoadBalancer"}) == {["spec", "type"]}
}

test_without_facts_nothing_is_agreed if {
	every type in ["ClusterIP", "LoadBalancer", "ExternalName"] {
		count(service_types.deny) == 0 with input as _service("web", {"type": type}) with data.facts as {}
	}
	count(service_types.deny) == 1 with input as _service("web", {"externalIPs": ["192.0.2.1"]}) with data.facts as {}
}

test_external_ips_are_denied if {
	_type_paths("db", {"externalIPs": ["192.0.2.1"]}) == {["spec", "externalIPs"]}
	_type_paths("db", {"externalIPs": []}) == set()
}

_deployment := {"kind": "Deployment", "metadata": {"name": "web", "namespace": "apps"}, "spec": {}}

test_the_service_must_be_there if {
	_paths(_deployment, [_deployment, _service("web", {})]) == set()
	_paths(_deployment, [_deployment, _service("db", {})]) == {["metadata", "name"]}
	_paths(_deployment, [_deployment, object.union(_service("web", {}), {"metadata": {"namespace": "elsewhere"}})]) == {["metadata", "name"]}
}

test_without_an_inventory_nothing_is_missed if _paths(_deployment, []) == set()

test_other_workloads_need_no_service if {
	worker := object.union(_deployment, {"metadata": {"name": "worker"}})
	_paths(worker, [worker]) == set()
}
