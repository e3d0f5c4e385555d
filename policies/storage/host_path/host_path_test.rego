package policies.storage.host_path_test

import data.policies.storage.host_path

_facts := {"host_paths": [
	{"workload": "DaemonSet/node/reader", "paths": ["/proc"], "reason": "the node's load"},
	{"workload": "DaemonSet/node/mute", "paths": ["/proc"]},
	{"workload": "DaemonSet/node/idle", "paths": ["/proc"], "reason": ""},
]}

_workload(kind, name, path, mount) := {"kind": kind, "metadata": {"name": name, "namespace": "node"}, "spec": {"template": {"spec": {
	"volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "host", "hostPath": {"path": path}}],
	"containers": [{"name": "reader", "volumeMounts": [
		{"name": "tmp", "mountPath": "/tmp"},
		object.union({"name": "host", "mountPath": "/node"}, mount),
	]}],
}}}}

_read_only := {"readOnly": true}

_paths(manifest) := paths if {
	paths := {result.path | some result in host_path.deny} with input as manifest with data.facts as _facts
}

_volume := {["spec", "template", "spec", "volumes", 1, "hostPath", "path"]}

test_the_reader_may if {
	_paths(_workload("DaemonSet", "reader", "/proc", _read_only)) == set()
}

test_other_paths_are_denied if {
	every path in ["/", "/sys", "/proc/", "/proc/..", "/proc/1"] {
		_paths(_workload("DaemonSet", "reader", path, _read_only)) == _volume
	}
}

test_other_workloads_are_denied if {
	_paths(_workload("DaemonSet", "other", "/proc", _read_only)) == _volume
	_paths(_workload("Deployment", "reader", "/proc", _read_only)) == _volume
	elsewhere := json.patch(_workload("DaemonSet", "reader", "/proc", _read_only), [{"op": "remove", "path": "/metadata/namespace"}])
	_paths(elsewhere) == _volume
}

test_a_reason_is_needed if {
	_paths(_workload("DaemonSet", "mute", "/proc", _read_only)) == _volume
	_paths(_workload("DaemonSet", "idle", "/proc", _read_only)) == _volume
}

test_writing_is_denied if {
	every mount in [{}, {"readOnly": false}, {"readOnly": null}] {
		_paths(_workload("DaemonSet", "reader", "/proc", mount)) == {["spec", "template", "spec", "containers", 0, "volumeMounts", 1, "readOnly"]}
	}
}

test_persistent_volumes_are_denied if {
	_paths({"kind": "PersistentVolume", "metadata": {"name": "data"}, "spec": {"hostPath": {"path": "/srv"}}}) == {["spec", "hostPath", "path"]}
	_paths({"kind": "PersistentVolume", "metadata": {"name": "data"}, "spec": {"csi": {}}}) == set()
}
