package policies.references.hashed_config_test

import data.policies.references.hashed_config

_paths(name) := paths if {
	pod := {"kind": "Pod", "metadata": {"name": "web"}, "spec": {
		"containers": [{"name": "web", "envFrom": [{"configMapRef": {"name": name}}]}],
		"volumes": [{"name": "config", "configMap": {"name": name}}],
	}}
	paths := {result.path | some result in hashed_config.deny} with input as pod
}

test_a_hash_is_allowed if _paths("web-config-7gt5hc92k4") == set()

test_no_hash_is_denied_wherever_it_is_read if {
	every name in ["web-config", "web-dashboards", "7gt5hc92k4"] {
		_paths(name) == {
			["spec", "containers", 0, "envFrom", 0, "configMapRef", "name"],
			["spec", "volumes", 0, "configMap", "name"],
		}
	}
}

test_the_clusters_own_is_allowed if _paths("kube-root-ca.crt") == set()

test_secrets_are_not_asked if {
	pod := {"kind": "Pod", "metadata": {"name": "web"}, "spec": {"volumes": [{"name": "a", "secret": {"secretName": "password"}}]}}
	count(hashed_config.deny) == 0 with input as pod
}
