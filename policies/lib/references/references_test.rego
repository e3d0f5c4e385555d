package policies.lib.references_test

import data.policies.lib.references

_pod(spec) := {"kind": "Pod", "metadata": {"name": "web"}, "spec": spec}

_deployment(spec) := {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": spec}}}

test_volumes if {
	items := [{"key": "a", "path": "a"}]
	pod := _deployment({"volumes": [
		{"name": "x", "emptyDir": {}},
		{"name": "c", "configMap": {"name": "config", "items": items}},
		{"name": "s", "secret": {"secretName": "password", "optional": true}},
	]})
	references.config_maps(pod) == {{
		"name": "config",
		"path": ["spec", "template", "spec", "volumes", 1, "configMap", "name"],
		"keys": {{"key": "a", "path": ["spec", "template", "spec", "volumes", 1, "configMap", "items", 0, "key"]}},
	}}
	references.secrets(pod) == {{
		"name": "password",
		"path": ["spec", "template", "spec", "volumes", 2, "secret", "secretName"],
		"keys": set(),
	}}
}

test_projected_volumes if {
	pod := _pod({"volumes": [{"name": "all", "projected": {"sources": [
		{"serviceAccountToken": {"path": "token"}},
		{"secret": {"name": "password", "items": [{"key": "b", "path": "b"}]}},
		{"configMap": {"name": "config"}},
	]}}]})
	{reference.path | some reference in references.config_maps(pod)} == {["spec", "volumes", 0, "projected", "sources", 2, "configMap", "name"]}
	references.secrets(pod) == {{
		"name": "password",
		"path": ["spec", "volumes", 0, "projected", "sources", 1, "secret", "name"],
		"keys": {{"key": "b", "path": ["spec", "volumes", 0, "projected", "sources", 1, "secret", "items", 0, "key"]}},
	}}
}

test_environment if {
	pod := _pod({"initContainers": [{
		"name": "wait",
		"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "password", "key": "p"}}}],
		"envFrom": [{"configMapRef": {"name": "config"}}],
	}]})
	references.secrets(pod) == {{
		"name": "password",
		"path": ["spec", "initContainers", 0, "env", 1, "valueFrom", "secretKeyRef", "name"],
		"keys": {{"key": "p", "path": ["spec", "initContainers", 0, "env", 1, "valueFrom", "secretKeyRef", "key"]}},
	}}
	references.config_maps(pod) == {{
		"name": "config",
		"path": ["spec", "initContainers", 0, "envFrom", 0, "configMapRef", "name"],
		"keys": set(),
	}}
}

test_image_pull_secrets if {
	pod := _pod({"imagePullSecrets": [{"name": "registry"}]})
	references.secrets(pod) == {{"name": "registry", "path": ["spec", "imagePullSecrets", 0, "name"], "keys": set()}}
}

test_nothing_is_referred_to if {
	references.config_maps(_pod({"containers": [{"name": "web"}]})) == set()
	references.secrets({"kind": "Service"}) == set()
}

test_keys if {
	references.keys({"data": {"a": "1"}, "binaryData": {"b": "2"}, "stringData": {"c": "3"}}) == {"a", "b", "c"}
	references.keys({}) == set()
}

test_content_hash if {
	regex.match(references.content_hash, "nginx-config-7gt5hc92k4")
	not regex.match(references.content_hash, "nginx-config")
	not regex.match(references.content_hash, "grafana-dashboards")
	not regex.match(references.content_hash, "nginx-config-7gt5hc92k4-x")
}
