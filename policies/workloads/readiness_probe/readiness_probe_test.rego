package policies.workloads.readiness_probe_test

import data.policies.workloads.readiness_probe

_probed := {"name": "web", "readinessProbe": {"httpGet": {"path": "/", "port": "https"}}}

_bare := {"name": "web"}

_workload(kind, spec) := {"kind": kind, "metadata": {"name": "web"}, "spec": {"template": {"spec": spec}}}

_paths(object) := paths if {
	paths := {result.path | some result in readiness_probe.deny} with input as object
}

test_every_handler_is_allowed if {
	every handler in ["httpGet", "exec", "grpc", "tcpSocket"] {
		_paths(_workload("Deployment", {"containers": [{"name": "web", "readinessProbe": {handler: {"port": 1}}}]})) == set()
	}
}

test_every_kind_without_a_probe_is_denied if {
	every kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"] {
		_paths(_workload(kind, {"containers": [_probed, _bare]})) == {["spec", "template", "spec", "containers", 1, "readinessProbe"]}
	}
}

test_a_bare_pod_is_denied if {
	_paths({"kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [_bare]}}) == {["spec", "containers", 0, "readinessProbe"]}
}

test_a_startup_probe_is_no_substitute if {
	container := {"name": "web", "startupProbe": {"httpGet": {"port": 1}}, "livenessProbe": {"httpGet": {"port": 1}}}
	count(_paths(_workload("Deployment", {"containers": [container]}))) == 1
}

test_a_probe_without_a_handler_is_denied if {
	count(_paths(_workload("Deployment", {"containers": [{"name": "web", "readinessProbe": {"periodSeconds": 5}}]}))) == 1
}

test_a_container_without_a_name_is_denied if {
	count(_paths(_workload("Deployment", {"containers": [{}]}))) == 1
}

test_native_sidecars_are_not_excused if {
	sidecar := {"name": "proxy", "restartPolicy": "Always"}
	_paths(_workload("Deployment", {"initContainers": [sidecar], "containers": [_probed]})) == {["spec", "template", "spec", "initContainers", 0, "readinessProbe"]}
}

test_what_ends_is_excused if {
	_paths(_workload("Job", {"containers": [_bare]})) == set()
	_paths(_workload("Deployment", {"initContainers": [_bare], "containers": [_probed]})) == set()
	_paths({"kind": "Service", "metadata": {"name": "web"}}) == set()
}
