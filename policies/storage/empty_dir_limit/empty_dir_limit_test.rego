package policies.storage.empty_dir_limit_test

import data.policies.storage.empty_dir_limit

_paths(volume) := paths if {
	paths := {result.path | some result in empty_dir_limit.deny} with input as {
		"kind": "Deployment",
		"metadata": {"name": "web"},
		"spec": {"template": {"spec": {"volumes": [volume]}}},
	}
}

test_a_limit_is_allowed if {
	_paths({"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}) == set()
	_paths({"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": 1048576}}) == set()
	_paths({"name": "data", "persistentVolumeClaim": {"claimName": "web"}}) == set()
}

test_no_limit_is_denied if {
	every volume in [
		{"name": "tmp"},
		{"name": "tmp", "emptyDir": null},
		{"name": "tmp", "emptyDir": {}},
		{"emptyDir": {}},
		{"name": "tmp", "emptyDir": {"medium": "Memory"}},
		{"name": "tmp", "emptyDir": {"sizeLimit": "0"}},
		{"name": "tmp", "emptyDir": {"sizeLimit": 0}},
		{"name": "tmp", "emptyDir": {"sizeLimit": "much"}},
	] {
		_paths(volume) == {["spec", "template", "spec", "volumes", 0, "emptyDir", "sizeLimit"]}
	}
}
