package policies.images.pull_policy_test

import data.policies.images.pull_policy

_paths(field, container) := paths if {
	paths := {result.path | some result in pull_policy.deny} with input as {
		"kind": "Deployment",
		"metadata": {"name": "web"},
		"spec": {"template": {"spec": {field: [container]}}},
	}
}

test_others_are_allowed if {
	_paths("containers", {"name": "web"}) == set()
	_paths("containers", {"name": "web", "imagePullPolicy": "IfNotPresent"}) == set()
	_paths("containers", {"name": "web", "imagePullPolicy": "Never"}) == set()
}

test_always_is_denied if {
	every field in ["containers", "initContainers", "ephemeralContainers"] {
		_paths(field, {"imagePullPolicy": "Always"}) == {["spec", "template", "spec", field, 0, "imagePullPolicy"]}
	}
}
