package policies.lib.network_test

import data.policies.lib.network

_workload(ns, name, ports) := {
	"kind": "Deployment",
	"metadata": {"name": name, "namespace": ns},
	"spec": {"template": {
		"metadata": {"labels": {"app.kubernetes.io/name": name}},
		"spec": {"containers": [{"name": name, "ports": ports}]},
	}},
}

_db := _workload("apps", "db", [{"name": "sql", "containerPort": 3306}, {"name": "log", "containerPort": 514, "protocol": "UDP"}])

_node := _workload("nodes", "node", [])

_namespace := {"kind": "Namespace", "metadata": {"name": "nodes", "labels": {"tier": "system"}}}

_policy(spec) := {"kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": "apps"}, "spec": spec}

_selector(name) := {"matchLabels": {"app.kubernetes.io/name": name}}

test_policy_types_default_as_the_api_server_does if {
	network.policy_types(_policy({"podSelector": {}})) == {"Ingress"}
	network.policy_types(_policy({"podSelector": {}, "egress": [{}]})) == {"Ingress", "Egress"}
	network.policy_types(_policy({"podSelector": {}, "policyTypes": ["Egress"]})) == {"Egress"}
}

test_no_pod_selector_selects_all if {
	network.selected_by(_policy({})) == [_db] with data.inventory as [_db, _node]
}

test_empty_selectors if {
	network.is_empty({})
	network.is_empty({"matchLabels": {}})
	not network.is_empty(_selector("db"))
	not network.is_empty({"matchExpressions": [{"key": "a", "operator": "Exists"}]})
}

test_policies_of_a_workload if {
	mine := _policy({"podSelector": _selector("db"), "policyTypes": ["Ingress"]})
	other := _policy({"podSelector": _selector("web"), "policyTypes": ["Ingress"]})
	network.policies_of(_db, "Ingress") == [mine] with data.inventory as [mine, other, _db]
	network.policies_of(_db, "Egress") == [] with data.inventory as [mine, other, _db]
	network.selected_by(mine) == [_db] with data.inventory as [mine, other, _db, _node]
}

test_peers_of_the_same_namespace if {
	network.is_peer({"podSelector": _selector("db")}, "apps", _db)
	network.is_peer({"podSelector": {}}, "apps", _db)
	not network.is_peer({"podSelector": _selector("db")}, "nodes", _db)
	not network.is_peer({"podSelector": _selector("web")}, "apps", _db)
}

test_peers_of_another_namespace if {
	by_name := {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "nodes"}}}
	network.is_peer(by_name, "apps", _node)
	not network.is_peer(by_name, "apps", _db)
	by_label := {"namespaceSelector": {"matchLabels": {"tier": "system"}}}
	network.is_peer(by_label, "apps", _node) with data.inventory as [_namespace]
	not network.is_peer(by_label, "apps", _node)
}

test_an_address_block_is_no_pod if {
	not network.is_peer({"ipBlock": {"cidr": "10.0.0.0/8"}}, "apps", _db)
}

test_peers if {
	network.peers([{"podSelector": _selector("db")}], "apps") == [_db] with data.inventory as [_db, _node]
}

test_ranges if {
	network.ranges({"port": "sql"}, _db) == {{"protocol": "TCP", "low": 3306, "high": 3306}}
	network.ranges({"port": "log"}, _db) == set()
	network.ranges({"port": "log", "protocol": "UDP"}, _db) == {{"protocol": "UDP", "low": 514, "high": 514}}
	network.ranges({"port": 1, "endPort": 9}, _db) == {{"protocol": "TCP", "low": 1, "high": 9}}
	network.ranges({"protocol": "UDP"}, _db) == {{"protocol": "UDP", "low": 1, "high": 65535}}
}

test_a_rule_allows_its_peers if {
	rule := {"to": [{"podSelector": _selector("db")}]}
	network.allows_peer(rule, "to", "apps", _db)
	not network.allows_peer(rule, "to", "nodes", _db)
	not network.allows_peer(rule, "to", "apps", _node)
	network.allows_peer({}, "to", "apps", _node)
	network.allows_peer({"to": []}, "to", "apps", _node)
}

test_a_rule_allows_its_ports if {
	wide := {"ports": [{"port": "sql"}, {"port": 10, "endPort": 20}]}
	network.allows_range(wide, _db, {"protocol": "TCP", "low": 3306, "high": 3306})
	network.allows_range(wide, _db, {"protocol": "TCP", "low": 10, "high": 20})
	not network.allows_range(wide, _db, {"protocol": "UDP", "low": 10, "high": 20})
	not network.allows_range(wide, _db, {"protocol": "TCP", "low": 9, "high": 20})
	not network.allows_range(wide, _db, {"protocol": "TCP", "low": 10, "high": 21})
	network.allows_range({}, _db, {"protocol": "UDP", "low": 9, "high": 9})
}
