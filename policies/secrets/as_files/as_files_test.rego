package policies.secrets.as_files_test

import data.policies.secrets.as_files

_sound := {"kind": "Pod", "metadata": {"name": "web"}, "spec": {
	"volumes": [
		{"name": "tls", "secret": {"secretName": "tls", "defaultMode": 288, "items": [{"key": "tls.key", "path": "tls.key"}]}},
		{"name": "all", "projected": {"defaultMode": 256, "sources": [{"secret": {"name": "db", "items": [{"key": "a", "path": "a"}]}}]}},
		{"name": "config", "configMap": {"name": "web"}},
	],
	"containers": [{
		"name": "web",
		"env": [{"name": "A", "value": "b"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
		"envFrom": [{"configMapRef": {"name": "web"}}],
		"volumeMounts": [
			{"name": "tls", "mountPath": "/etc/tls", "readOnly": true},
			{"name": "all", "mountPath": "/etc/all", "readOnly": true},
			{"name": "config", "mountPath": "/etc/web"},
		],
	}],
}}

_paths(manifest) := paths if {
	paths := {concat("/", [sprintf("%v", [key]) | some key in result.path]) | some result in as_files.deny} with input as manifest
}

_with(path, value) := json.patch(_sound, [{"op": "add", "path": concat("/", ["", path]), "value": value}])

_denied_at(path, value) if _paths(_with(path, value)) == {path}

test_files_are_allowed if {
	_paths(_sound) == set()
	_paths({"kind": "Service", "metadata": {"name": "web"}}) == set()
}

test_environment_is_denied if {
	_paths(_with("spec/containers/0/env/0/valueFrom", {"secretKeyRef": {"name": "db", "key": "a"}})) == {"spec/containers/0/env/0/valueFrom/secretKeyRef"}
	_paths(_with("spec/containers/0/envFrom/0/secretRef", {"name": "db"})) == {"spec/containers/0/envFrom/0/secretRef"}
}

test_init_containers_count if {
	container := {"name": "wait", "envFrom": [{"secretRef": {"name": "db"}}]}
	_paths(_with("spec/initContainers", [container])) == {"spec/initContainers/0/envFrom/0/secretRef"}
}

test_open_modes_are_denied if {
	every mode in [420, 292, 289, 290, 511] {
		_denied_at("spec/volumes/0/secret/defaultMode", mode)
		_denied_at("spec/volumes/1/projected/defaultMode", mode)
		_denied_at("spec/volumes/0/secret/items/0/mode", mode)
		_denied_at("spec/volumes/1/projected/sources/0/secret/items/0/mode", mode)
	}
}

test_the_default_mode_is_open if {
	_paths(json.remove(_sound, ["/spec/volumes/0/secret/defaultMode"])) == {"spec/volumes/0/secret/defaultMode"}
	_paths(json.remove(_sound, ["/spec/volumes/1/projected/defaultMode"])) == {"spec/volumes/1/projected/defaultMode"}
}

test_writable_mounts_are_denied if {
	_denied_at("spec/containers/0/volumeMounts/0/readOnly", false)
	_denied_at("spec/containers/0/volumeMounts/1/readOnly", false)
	_paths(json.remove(_sound, ["/spec/containers/0/volumeMounts/0/readOnly"])) == {"spec/containers/0/volumeMounts/0/readOnly"}
}
