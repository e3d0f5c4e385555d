package policies.services.no_nodeport_test

import data.policies.services.no_nodeport

_load_balancer := {
	"apiVersion": "v1",
	"kind": "Service",
	"metadata": {"name": "web"},
	"spec": {
		"type": "LoadBalancer",
		"allocateLoadBalancerNodePorts": false,
		"externalTrafficPolicy": "Cluster",
		"ports": [{"port": 443}],
	},
}

_pod := {"kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "ports": [{"containerPort": 443}]}]}}

_paths(object) := paths if {
	paths := {result.path | some result in no_nodeport.deny} with input as object
}

_changed(object, changes) := json.patch(object, changes)

test_load_balancer_without_node_ports_is_allowed if _paths(_load_balancer) == set()

test_cluster_ip_is_allowed if _paths({"kind": "Service", "metadata": {"name": "db"}, "spec": {"ports": [{"port": 3306}]}}) == set()

test_pod_is_allowed if _paths(_pod) == set()

test_type_is_denied if {
	_paths(_changed(_load_balancer, [{"op": "replace", "path": "/spec/type", "value": "NodePort"}])) == {["spec", "type"]}
}

test_explicit_node_port_is_denied if {
	_paths(_changed(_load_balancer, [{"op": "add", "path": "/spec/ports/0/nodePort", "value": 30443}])) == {["spec", "ports", 0, "nodePort"]}
}

test_implicit_allocation_is_denied if {
	_paths(_changed(_load_balancer, [{"op": "remove", "path": "/spec/allocateLoadBalancerNodePorts"}])) == {["spec", "allocateLoadBalancerNodePorts"]}
	_paths(_changed(_load_balancer, [{"op": "replace", "path": "/spec/allocateLoadBalancerNodePorts", "value": true}])) == {["spec", "allocateLoadBalancerNodePorts"]}
}

test_health_check_node_port_is_denied if {
	_paths(_changed(_load_balancer, [{"op": "add", "path": "/spec/healthCheckNodePort", "value": 32000}])) == {["spec", "healthCheckNodePort"]}
}

test_local_traffic_policy_is_denied if {
	_paths(_changed(_load_balancer, [{"op": "replace", "path": "/spec/externalTrafficPolicy", "value": "Local"}])) == {["spec", "externalTrafficPolicy"]}
}

test_host_port_is_denied if {
	_paths(_changed(_pod, [{"op": "add", "path": "/spec/containers/0/ports/0/hostPort", "value": 443}])) == {["spec", "containers", 0, "ports", 0, "hostPort"]}
}

test_host_network_is_denied if {
	_paths(_changed(_pod, [{"op": "add", "path": "/spec/hostNetwork", "value": true}])) == {["spec", "hostNetwork"]}
}
