package policies.workloads.process_namespace_test

import data.policies.workloads.process_namespace

_sound := {"kind": "Pod", "metadata": {"name": "web"}, "spec": {
	"shareProcessNamespace": true,
	"securityContext": {"runAsUser": 10001},
	"initContainers": [{"name": "wait"}],
	"containers": [{"name": "web"}, {"name": "proxy"}],
}}

_paths(object) := paths if {
	paths := {result.path | some result in process_namespace.deny} with input as object
}

_with(path, value) := json.patch(_sound, [{"op": "add", "path": path, "value": value}])

test_sound_is_allowed if {
	_paths(_sound) == set()
	_paths(_with("/spec/containers/0/securityContext", {"runAsUser": 10001})) == set()
	_paths({"kind": "Service", "metadata": {"name": "web"}}) == set()
}

test_not_shared_is_denied if {
	_paths(json.remove(_sound, ["/spec/shareProcessNamespace"])) == {["spec", "shareProcessNamespace"]}
	_paths(_with("/spec/shareProcessNamespace", false)) == {["spec", "shareProcessNamespace"]}
}

test_templates_are_looked_at if {
	every kind in ["Deployment", "StatefulSet", "DaemonSet"] {
		_paths({"kind": kind, "metadata": {"name": "web"}, "spec": {"template": {}}}) == {["spec", "template", "spec", "shareProcessNamespace"]}
	}
}

test_jobs_are_excused if {
	_paths({"kind": "Job", "metadata": {"name": "web"}, "spec": {"template": {"spec": {"containers": [{"name": "web"}]}}}}) == set()
}

test_an_unknown_user_is_denied if {
	_paths(json.remove(_sound, ["/spec/securityContext"])) == {["spec", "securityContext", "runAsUser"]}
}

test_another_user_is_denied if {
	other := {"runAsUser": 10002}
	_paths(_with("/spec/containers/1/securityContext", other)) == {["spec", "containers", 1, "securityContext", "runAsUser"]}
	_paths(_with("/spec/initContainers/0/securityContext", other)) == {["spec", "initContainers", 0, "securityContext", "runAsUser"]}
}
