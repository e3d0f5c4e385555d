package policies.network.both_ends_test

import data.policies.network.both_ends

_labels(name) := {"app.kubernetes.io/name": name}

_workload(namespace, name, ports) := {
	"kind": "Deployment",
	"metadata": {"name": name, "namespace": namespace},
	"spec": {"template": {
		"metadata": {"labels": _labels(name)},
		"spec": {"containers": [{"name": name, "ports": ports}]},
	}},
}

_selector(name) := {"podSelector": {"matchLabels": _labels(name)}}

_policy(namespace, name, rules) := {
	"kind": "NetworkPolicy",
	"metadata": {"name": name, "namespace": namespace},
	"spec": object.union(object.union(_selector(name), {"policyTypes": ["Ingress", "Egress"]}), rules),
}

_workloads := [_workload("apps", "web", []), _workload("apps", "db", [{"name": "sql", "containerPort": 3306}])]

_out(port) := _policy("apps", "web", {"egress": [{"to": [_selector("db")], "ports": [port]}]})

_in(port) := _policy("apps", "db", {"ingress": [{"from": [_selector("web")], "ports": [port]}]})

_paths_among(policy, workloads, others) := paths if {
	paths := {result.path | some result in both_ends.deny} with input as policy
		with data.inventory as array.concat(workloads, array.concat(others, [policy]))
}

_paths(policy, other) := _paths_among(policy, _workloads, [other])

_egress := ["spec", "egress", 0, "ports", 0]

_ingress := ["spec", "ingress", 0, "ports", 0]

test_ends_that_agree_are_allowed if {
	every ports in [["sql", "sql"], ["sql", 3306], [3306, "sql"], [3306, 3306]] {
		[client_port, server_port] := ports
		_paths(_out({"port": client_port}), _in({"port": server_port})) == set()
		_paths(_in({"port": server_port}), _out({"port": client_port})) == set()
	}
}

test_an_open_door_is_one_that_agrees if {
	_paths(_out({"port": "sql"}), _policy("apps", "db", {"ingress": [{"ports": [{"port": "sql"}]}]})) == set()
	_paths(_in({"port": "sql"}), _policy("apps", "web", {"egress": [{"ports": [{"port": 3306}]}]})) == set()
}

test_an_end_that_is_shut_is_denied if {
	_paths(_out({"port": "sql"}), _policy("apps", "db", {})) == {_egress}
	_paths(_in({"port": "sql"}), _policy("apps", "web", {})) == {_ingress}
}

test_an_end_without_policies_is_open if {
	_paths_among(_out({"port": "sql"}), _workloads, []) == set()
	_paths_among(_in({"port": "sql"}), _workloads, []) == set()
}

test_another_port_is_denied if {
	_paths(_out({"port": 3307}), _in({"port": "sql"})) == {_egress}
	_paths(_in({"port": "sql"}), _out({"port": 3307})) == {_ingress}
	_paths(_out({"port": 3306, "protocol": "UDP"}), _in({"port": "sql"})) == {_egress}
}

test_a_wider_range_is_denied if {
	_paths(_out({"port": 3306, "endPort": 3307}), _in({"port": "sql"})) == {_egress}
	_paths(_in({"port": "sql"}), _out({"port": 3306, "endPort": 3307})) == set()
}

test_a_name_must_be_a_port_of_the_server if {
	_paths(_out({"port": "mysql"}), _in({"port": "sql"})) == {array.concat(_egress, ["port"])}
	_paths(_in({"port": "mysql"}), _out({"port": "sql"})) == {array.concat(_ingress, ["port"])}
	_paths(_in({"port": "sql", "protocol": "UDP"}), _out({"port": "sql"})) == {array.concat(_ingress, ["port"])}
}

test_other_namespaces_are_compared if {
	workloads := [_workload("apps", "web", []), _workload("data", "db", [{"name": "sql", "containerPort": 3306}])]
	there := {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "data"}}}
	back := {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "apps"}}}
	client := _policy("apps", "web", {"egress": [{"to": [object.union(_selector("db"), there)], "ports": [{"port": "sql"}]}]})
	server := _policy("data", "db", {"ingress": [{"from": [object.union(_selector("web"), back)], "ports": [{"port": "sql"}]}]})
	narrow := _policy("data", "db", {"ingress": [{"from": [_selector("web")], "ports": [{"port": "sql"}]}]})
	_paths_among(client, workloads, [server]) == set()
	_paths_among(server, workloads, [client]) == set()
	_paths_among(client, workloads, [narrow]) == {_egress}
}

test_peers_outside_the_overlay_are_not_asked if {
	dns := _policy("apps", "web", {"egress": [{
		"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
		"ports": [{"port": 53, "protocol": "UDP"}],
	}]})
	_paths_among(dns, _workloads, []) == set()
}

test_without_an_inventory_nothing_is_compared if {
	count(both_ends.deny) == 0 with input as _out({"port": "sql"})
}
