package policies.storage.persistent_data_test

import data.policies.storage.persistent_data

_facts := {"persistent_data": [{"service": "db", "containers": ["db"], "path": "/var/lib/db"}]}

_claim := {"name": "data", "persistentVolumeClaim": {"claimName": "db"}}

_mount(path) := {"name": "data", "mountPath": path}

_deployment(volume, mounts) := {"kind": "Deployment", "metadata": {"name": "db"}, "spec": {"template": {
	"metadata": {"labels": {"app.kubernetes.io/name": "db"}},
	"spec": {
		"containers": [{"name": "proxy"}, {"name": "db", "volumeMounts": mounts}],
		"volumes": [{"name": "tmp", "emptyDir": {}}, volume],
	},
}}}

_paths(manifest) := paths if {
	paths := {result.path | some result in persistent_data.deny} with input as manifest with data.facts as _facts
}

_volume_path := {["spec", "template", "spec", "volumes", 1]}

_mounts_path := {["spec", "template", "spec", "containers", 1, "volumeMounts"]}

test_a_claim_is_allowed if {
	every path in ["/var/lib/db", "/var/lib/db/", "/var/lib"] {
		_paths(_deployment(_claim, [{"name": "tmp", "mountPath": "/tmp"}, _mount(path)])) == set()
	}
}

test_other_volumes_are_denied if {
	_paths(_deployment({"name": "data", "emptyDir": {}}, [_mount("/var/lib/db")])) == _volume_path
	_paths(_deployment({"name": "data", "hostPath": {"path": "/srv"}}, [_mount("/var/lib/db")])) == _volume_path
}

test_no_volume_is_denied if {
	_paths(_deployment(_claim, [])) == _mounts_path
	_paths(_deployment(_claim, [_mount("/var/lib/database")])) == _mounts_path
	_paths(_deployment(_claim, [_mount("/var/lib/db/sub")])) == _mounts_path
	_paths(_deployment(_claim, [{"name": "none", "mountPath": "/var/lib/db"}])) == _mounts_path
}

test_the_deepest_mount_decides if {
	_paths(_deployment(_claim, [_mount("/var/lib"), {"name": "tmp", "mountPath": "/var/lib/db"}])) == {["spec", "template", "spec", "volumes", 0]}
}

test_the_container_must_be_there if {
	renamed := json.patch(_deployment(_claim, []), [{"op": "replace", "path": "/spec/template/spec/containers/1/name", "value": "server"}])
	_paths(renamed) == {["spec", "template", "spec", "containers"]}
}

test_others_keep_nothing if {
	job := object.union(_deployment(_claim, []), {"kind": "Job"})
	_paths(job) == set()
	other := json.patch(_deployment(_claim, []), [{"op": "replace", "path": "/spec/template/metadata/labels", "value": {"app.kubernetes.io/name": "web"}}])
	_paths(other) == set()
	_paths({"kind": "Service", "metadata": {"name": "db", "labels": {"app.kubernetes.io/name": "db"}}}) == set()
}

_template(requests) := {"metadata": {"name": "data"}, "spec": {"resources": {"requests": requests}}}

_stateful_set(template) := {"kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {
	"volumeClaimTemplates": [template],
	"template": {
		"metadata": {"labels": {"app.kubernetes.io/name": "db"}},
		"spec": {"containers": [{"name": "db", "volumeMounts": [_mount("/var/lib/db")]}]},
	},
}}

test_claim_templates if {
	_paths(_stateful_set(_template({"storage": "1Gi"}))) == set()
	_paths(_stateful_set(_template({}))) == {["spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage"]}
}

_claim_object(spec) := {"kind": "PersistentVolumeClaim", "metadata": {"name": "db"}, "spec": spec}

test_a_claim_says_how_much if {
	_paths(_claim_object({"resources": {"requests": {"storage": "1Gi"}}})) == set()
	_paths(_claim_object({"resources": {"requests": {"storage": 1000}}})) == set()
	every spec in [{}, {"resources": {"requests": {"storage": "0"}}}, {"resources": {"requests": {"storage": "much"}}}, {"resources": {"limits": {"storage": "1Gi"}}}] {
		_paths(_claim_object(spec)) == {["spec", "resources", "requests", "storage"]}
	}
}
