package policies.storage.recreate_test

import data.policies.storage.recreate

_claim(modes) := {"kind": "PersistentVolumeClaim", "metadata": {"name": "db", "namespace": "apps"}, "spec": {"accessModes": modes}}

_deployment(spec) := {"kind": "Deployment", "metadata": {"name": "db", "namespace": "apps"}, "spec": object.union(
	spec,
	{"template": {"spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "db"}}]}}},
)}

_paths(manifest, inventory) := paths if {
	paths := {result.path | some result in recreate.deny} with input as manifest with data.inventory as inventory
}

_recreate := {"strategy": {"type": "Recreate"}}

_once := [_claim(["ReadWriteOnce"])]

test_recreate_is_allowed if {
	_paths(_deployment(_recreate), _once) == set()
	_paths(_deployment(object.union(_recreate, {"replicas": 1})), _once) == set()
	_paths(_deployment(object.union(_recreate, {"replicas": 0})), _once) == set()
}

test_rolling_is_denied if {
	every modes in [["ReadWriteOnce"], ["ReadWriteOncePod"], []] {
		_paths(_deployment({}), [_claim(modes)]) == {["spec", "strategy", "type"]}
	}
	_paths(_deployment({"strategy": {"type": "RollingUpdate"}}), _once) == {["spec", "strategy", "type"]}
}

test_replicas_are_denied if {
	_paths(_deployment(object.union(_recreate, {"replicas": 2})), _once) == {["spec", "replicas"]}
}

test_shared_claims_are_free if {
	_paths(_deployment({"replicas": 3}), [_claim(["ReadWriteMany"])]) == set()
	_paths(_deployment({"replicas": 3}), [_claim(["ReadWriteOnce", "ReadOnlyMany"])]) == set()
}

test_only_claims_at_hand_count if {
	_paths(_deployment({}), []) == set()
	elsewhere := json.patch(_claim([]), [{"op": "replace", "path": "/metadata/namespace", "value": "elsewhere"}])
	_paths(_deployment({}), [elsewhere]) == set()
	_paths({"kind": "Deployment", "metadata": {"name": "web", "namespace": "apps"}, "spec": {}}, _once) == set()
}
