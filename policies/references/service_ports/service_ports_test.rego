package policies.references.service_ports_test

import data.policies.references.service_ports

_labels := {"app.kubernetes.io/name": "web"}

_workload(kind, ports) := {
	"kind": kind,
	"metadata": {"name": "web", "namespace": "apps"},
	"spec": {"template": {
		"metadata": {"labels": _labels},
		"spec": {"containers": [{"name": "web", "ports": ports}]},
	}},
}

_deployment := _workload("Deployment", [{"name": "https", "containerPort": 443}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}])

_service(port) := {
	"kind": "Service",
	"metadata": {"name": "web", "namespace": "apps"},
	"spec": {"selector": _labels, "ports": [port]},
}

_paths(object, others) := paths if {
	paths := {result.path | some result in service_ports.deny} with input as object
		with data.inventory as array.concat(others, [object])
}

_service_paths(port) := _paths(_service(port), [_deployment])

test_open_ports_are_allowed if {
	_paths(_deployment, []) == set()
	_service_paths({"name": "https", "port": 5000, "targetPort": "https"}) == set()
	_service_paths({"name": "https", "port": 5000, "targetPort": 443}) == set()
	_service_paths({"name": "https", "port": 443}) == set()
	_service_paths({"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"}) == set()
}

test_closed_ports_are_denied if {
	every port in [
		{"name": "https", "port": 443, "targetPort": "http"},
		{"name": "https", "port": 443, "targetPort": 8443},
		{"name": "https", "port": 8443},
		{"name": "dns", "port": 53, "targetPort": "dns"},
	] {
		_service_paths(port) == {["spec", "ports", 0, "targetPort"]}
	}
}

test_every_selected_workload_counts if {
	other := json.patch(_workload("DaemonSet", []), [{"op": "replace", "path": "/metadata/name", "value": "other"}])
	_paths(_service({"name": "https", "port": 443}), [_deployment, other]) == {["spec", "ports", 0, "targetPort"]}
}

test_a_job_serves_nothing if {
	job := _workload("Job", [{"name": "https", "containerPort": 443}])
	_paths(_service({"name": "https", "port": 443}), [job]) == {["spec", "ports", 0, "targetPort"]}
}

test_without_an_inventory_only_names_count if {
	count(service_ports.deny) == 0 with input as _service({"name": "https", "port": 443, "targetPort": "http"})
}

test_names_must_be_there if {
	_service_paths({"port": 443}) == {["spec", "ports", 0, "name"]}
	_service_paths({"name": "", "port": 443}) == {["spec", "ports", 0, "name"]}
	_paths(_workload("Deployment", [{"containerPort": 443}]), []) == {["spec", "template", "spec", "containers", 0, "ports", 0, "name"]}
}
