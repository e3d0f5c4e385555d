package policies.services.web_ports_test

import data.policies.services.web_ports

_facts := {"reserved_ports": [{"port": 80, "service": "nginx"}, {"port": 443, "service": "nginx"}]}

_service(name, port) := {
	"kind": "Service",
	"metadata": {"name": name, "namespace": "apps", "labels": {"app.kubernetes.io/name": name}},
	"spec": {"selector": {"app.kubernetes.io/name": name}, "ports": [port]},
}

_deployment(name, port) := {
	"kind": "Deployment",
	"metadata": {"name": name, "namespace": "apps"},
	"spec": {"template": {
		"metadata": {"labels": {"app.kubernetes.io/name": name}},
		"spec": {"containers": [{"name": "nginx", "ports": [port]}]},
	}},
}

_paths(object, inventory) := paths if {
	paths := {result.path | some result in web_ports.deny} with input as object
		with data.inventory as inventory
		with data.facts as _facts
}

test_the_owner_may if {
	_paths(_service("nginx", {"port": 443, "targetPort": 443}), []) == set()
	_paths(_deployment("nginx", {"containerPort": 80}), []) == set()
}

test_other_ports_are_free if {
	_paths(_service("wordpress", {"port": 5050, "targetPort": 5050}), []) == set()
}

test_a_container_named_nginx_is_not_nginx if {
	_paths(_deployment("wordpress", {"containerPort": 443}), []) == {["spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"]}
}

test_service_port_is_denied if {
	_paths(_service("wordpress", {"port": 443, "targetPort": 5050}), []) == {["spec", "ports", 0, "port"]}
}

test_numeric_target_port_is_denied if {
	_paths(_service("wordpress", {"port": 5050, "targetPort": 80}), []) == {["spec", "ports", 0, "targetPort"]}
}

test_named_target_port_is_looked_up if {
	workload := _deployment("wordpress", {"name": "https", "containerPort": 443})
	_paths(_service("wordpress", {"port": 5050, "targetPort": "https"}), [workload]) == {["spec", "ports", 0, "targetPort"]}
}

test_named_target_port_of_another_namespace_is_not if {
	workload := object.union(_deployment("wordpress", {"name": "https", "containerPort": 443}), {"metadata": {"namespace": "elsewhere"}})
	_paths(_service("wordpress", {"port": 5050, "targetPort": "https"}), [workload]) == set()
}

test_a_workload_without_labels_is_denied if {
	workload := {"kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "ports": [{"containerPort": 80}]}]}}
	count(_paths(workload, [])) == 1
}
