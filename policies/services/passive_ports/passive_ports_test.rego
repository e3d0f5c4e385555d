package policies.services.passive_ports_test

import data.policies.services.passive_ports

_facts := {"passive_ports": [{
	"service": "ftps",
	"configuration": {"name": "ftps-config", "key": "server.conf", "pattern": `(?m)^\s*PassivePorts\s+(\d+)\s+(\d+)\s*$`},
	"port_name": "passive-",
	"minimum": 3,
	"address_variable": "PASSIVE_ADDRESS",
}]}

_config := {
	"kind": "ConfigMap",
	"metadata": {"name": "ftps-config-7gt5hc92k4", "namespace": "apps"},
	"data": {"server.conf": "Port 21\nPassivePorts 2000 2002\n"},
}

_deployment := {
	"kind": "Deployment",
	"metadata": {"name": "ftps", "namespace": "apps"},
	"spec": {"template": {
		"metadata": {"labels": {"app.kubernetes.io/name": "ftps"}},
		"spec": {"containers": [{
			"name": "ftps",
			"env": [{"name": "HOME", "value": "/"}, {"name": "PASSIVE_ADDRESS", "value": "192.0.2.1"}],
			"ports": [
				{"name": "ftp", "containerPort": 21},
				{"name": "passive-2000", "containerPort": 2000},
				{"name": "passive-2001", "containerPort": 2001},
				{"name": "passive-2002", "containerPort": 2002},
			],
		}]},
	}},
}

_service := {
	"kind": "Service",
	"metadata": {"name": "ftps", "namespace": "apps", "annotations": {"metallb.io/loadBalancerIPs": "192.0.2.1"}},
	"spec": {
		"selector": {"app.kubernetes.io/name": "ftps"},
		"ports": [
			{"name": "ftp", "port": 21, "targetPort": "ftp"},
			{"name": "passive-2000", "port": 2000, "targetPort": "passive-2000"},
			{"name": "passive-2001", "port": 2001, "targetPort": 2001},
			{"name": "passive-2002", "port": 2002},
		],
	},
}

_paths(object, others) := paths if {
	paths := {result.path | some result in passive_ports.deny} with input as object
		with data.inventory as array.concat(others, [object])
		with data.facts as _facts
}

_changed(object, operation) := json.patch(object, [operation])

_deployment_paths(operation) := _paths(_changed(_deployment, operation), [_config, _service])

_service_paths(operation) := _paths(_changed(_service, operation), [_config, _deployment])

_config_paths(text) := _paths(_changed(_config, {"op": "replace", "path": "/data/server.conf", "value": text}), [])

_containers := ["spec", "template", "spec", "containers"]

test_the_same_ports_are_allowed if {
	_paths(_config, []) == set()
	_paths(_deployment, [_config, _service]) == set()
	_paths(_service, [_config, _deployment]) == set()
}

test_without_an_inventory_only_the_address_must_be_there if {
	count(passive_ports.deny) == 0 with input as _deployment with data.facts as _facts
	count(passive_ports.deny) == 0 with input as _service with data.facts as _facts
	count(passive_ports.deny) == 1 with input as json.remove(_deployment, ["/spec/template/spec/containers/0/env"]) with data.facts as _facts
}

test_other_services_are_not_asked if {
	web := _changed(_deployment, {"op": "replace", "path": "/spec/template/metadata/labels", "value": {"app.kubernetes.io/name": "web"}})
	_paths(web, []) == set()
	_paths(_changed(_config, {"op": "replace", "path": "/metadata/name", "value": "web-config"}), []) == set()
}

test_the_configuration_must_name_one_range if {
	every text in ["Port 21\n", "# PassivePorts 2000 2002\n", "PassivePorts 2000 2002\nPassivePorts 3000 3002\n", "PassivePorts many\n"] {
		_config_paths(text) == {["data", "server.conf"]}
	}
	_paths(json.remove(_config, ["/data"]), []) == {["data", "server.conf"]}
}

test_the_range_must_be_wide_enough if {
	_config_paths("PassivePorts 2000 2001") == {["data", "server.conf"]}
	_config_paths("PassivePorts 2002 2000") == {["data", "server.conf"]}
	_config_paths("PassivePorts 65535 99999") == {["data", "server.conf"]}
}

test_the_configuration_must_be_there if {
	_paths(_deployment, [_service]) == {["spec", "template", "spec", "volumes"]}
	elsewhere := _changed(_config, {"op": "replace", "path": "/metadata/namespace", "value": "elsewhere"})
	_paths(_deployment, [_service, elsewhere]) == {["spec", "template", "spec", "volumes"]}
}

test_container_ports_must_be_the_same if {
	_deployment_paths({"op": "remove", "path": "/spec/template/spec/containers/0/ports/3"}) == {_containers}
	_deployment_paths({"op": "replace", "path": "/spec/template/spec/containers/0/ports/3/containerPort", "value": 2003}) == {_containers}
	_deployment_paths({"op": "add", "path": "/spec/template/spec/containers/0/ports/-", "value": {"name": "passive-2003", "containerPort": 2003}}) == {_containers}
	_deployment_paths({"op": "remove", "path": "/spec/template/spec/containers/0/ports"}) == {_containers}
}

test_service_ports_must_be_the_same if {
	_service_paths({"op": "remove", "path": "/spec/ports/3"}) == {["spec", "ports"]}
	_service_paths({"op": "replace", "path": "/spec/ports/1/port", "value": 2003}) == {["spec", "ports"], ["spec", "ports", 1, "targetPort"]}
	_service_paths({"op": "add", "path": "/spec/ports/-", "value": {"name": "passive-2003", "port": 2003}}) == {["spec", "ports"]}
	_service_paths({"op": "remove", "path": "/spec/ports"}) == {["spec", "ports"]}
}

test_a_service_must_not_renumber if {
	_service_paths({"op": "replace", "path": "/spec/ports/1/targetPort", "value": "passive-2001"}) == {["spec", "ports", 1, "targetPort"]}
	_service_paths({"op": "replace", "path": "/spec/ports/2/targetPort", "value": 2002}) == {["spec", "ports", 2, "targetPort"]}
}

test_the_address_must_be_told if {
	_deployment_paths({"op": "remove", "path": "/spec/template/spec/containers/0/env/1"}) == {_containers}
}

test_the_address_must_be_the_load_balancers if {
	path := array.concat(_containers, [0, "env", 1, "value"])
	_deployment_paths({"op": "replace", "path": "/spec/template/spec/containers/0/env/1/value", "value": "192.0.2.2"}) == {path}
	_deployment_paths({"op": "remove", "path": "/spec/template/spec/containers/0/env/1/value"}) == {path}
}
