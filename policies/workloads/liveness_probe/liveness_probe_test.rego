package policies.workloads.liveness_probe_test

import data.policies.workloads.liveness_probe

_probed := {"name": "web", "livenessProbe": {"httpGet": {"path": "/", "port": "https"}}}

_bare := {"name": "web"}

_workload(kind, spec) := {"kind": kind, "metadata": {"name": "web"}, "spec": {"template": {"spec": spec}}}

_paths(object) := paths if {
	paths := {result.path | some result in liveness_probe.deny} with input as object
}

test_every_kind_with_a_probe_is_allowed if {
	every kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"] {
		_paths(_workload(kind, {"containers": [_probed]})) == set()
	}
}

test_every_kind_without_a_probe_is_denied if {
	every kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"] {
		_paths(_workload(kind, {"containers": [_bare]})) == {["spec", "template", "spec", "containers", 0, "livenessProbe"]}
	}
}

test_a_bare_pod_is_denied if {
	_paths({"kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [_bare]}}) == {["spec", "containers", 0, "livenessProbe"]}
}

test_the_second_container_counts if {
	_paths(_workload("Deployment", {"containers": [_probed, _bare]})) == {["spec", "template", "spec", "containers", 1, "livenessProbe"]}
}

test_jobs_are_excused if {
	_paths(_workload("Job", {"containers": [_bare]})) == set()
	_paths({"kind": "CronJob", "metadata": {"name": "web"}, "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [_bare]}}}}}}) == set()
}

test_init_containers_are_excused if {
	_paths(_workload("Deployment", {"initContainers": [_bare], "containers": [_probed]})) == set()
}

test_native_sidecars_are_not_excused if {
	sidecar := {"name": "proxy", "restartPolicy": "Always"}
	_paths(_workload("Deployment", {"initContainers": [sidecar], "containers": [_probed]})) == {["spec", "template", "spec", "initContainers", 0, "livenessProbe"]}
}

test_a_probe_without_a_handler_is_denied if {
	count(_paths(_workload("Deployment", {"containers": [{"name": "web", "livenessProbe": {"periodSeconds": 5}}]}))) == 1
}

test_a_container_without_a_name_is_denied if {
	count(_paths(_workload("Deployment", {"containers": [{"image": "web"}]}))) == 1
}
