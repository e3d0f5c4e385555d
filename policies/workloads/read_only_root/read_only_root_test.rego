package policies.workloads.read_only_root_test

import data.policies.workloads.read_only_root

_paths(field, container) := paths if {
	paths := {result.path | some result in read_only_root.deny} with input as {
		"kind": "Deployment",
		"metadata": {"name": "web"},
		"spec": {"template": {"spec": {field: [container]}}},
	}
}

test_read_only_is_allowed if {
	every field in ["containers", "initContainers", "ephemeralContainers"] {
		_paths(field, {"name": "web", "securityContext": {"readOnlyRootFilesystem": true}}) == set()
	}
}

test_anything_else_is_denied if {
	every field in ["containers", "initContainers", "ephemeralContainers"] {
		every container in [
			{},
			{"name": "web"},
			{"name": "web", "securityContext": null},
			{"name": "web", "securityContext": {}},
			{"name": "web", "securityContext": {"readOnlyRootFilesystem": false}},
			{"name": "web", "securityContext": {"readOnlyRootFilesystem": "true"}},
		] {
			_paths(field, container) == {["spec", "template", "spec", field, 0, "securityContext", "readOnlyRootFilesystem"]}
		}
	}
}
