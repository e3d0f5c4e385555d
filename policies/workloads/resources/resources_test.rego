package policies.workloads.resources_test

import data.policies.workloads.resources

_sound := {"name": "web", "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}}

_paths(field, container) := paths if {
	paths := {array.slice(result.path, 4, 9) | some result in resources.deny} with input as {
		"kind": "Deployment",
		"metadata": {"name": "web"},
		"spec": {"template": {"spec": {field: [container]}}},
	}
}

_changed(op, path, value) := json.patch(_sound, [{"op": op, "path": path, "value": value}])

test_stated_is_allowed if {
	_paths("containers", _sound) == set()
	_paths("initContainers", _sound) == set()
}

test_numbers_are_quantities if {
	_paths("containers", _changed("replace", "/resources/requests/cpu", 1)) == set()
	_paths("containers", _changed("replace", "/resources/limits/memory", 67108864)) == set()
	_paths("containers", _changed("add", "/resources/requests/ephemeral-storage", "1Gi")) == set()
}

test_missing_is_denied if {
	every path in ["requests/cpu", "requests/memory", "limits/memory"] {
		container := json.remove(_sound, [sprintf("/resources/%s", [path])])
		_paths("containers", container) == {array.concat([0, "resources"], split(path, "/"))}
		_paths("initContainers", container) == {array.concat([0, "resources"], split(path, "/"))}
	}
}

test_nothing_stated_is_denied_thrice if {
	count(_paths("containers", {"name": "web"})) == 3
	count(_paths("containers", {"name": "web", "resources": null})) == 3
	count(_paths("containers", {})) == 3
}

test_zero_and_nonsense_are_denied if {
	every value in ["0", 0, "", "much", null] {
		_paths("containers", _changed("replace", "/resources/requests/cpu", value)) == {[0, "resources", "requests", "cpu"]}
		_paths("containers", _changed("replace", "/resources/requests/memory", value)) == {[0, "resources", "requests", "memory"]}
	}
}

test_a_request_above_the_limit_is_denied if {
	_paths("containers", _changed("replace", "/resources/requests/memory", "65Mi")) == {[0, "resources", "requests", "memory"]}
	_paths("containers", _changed("replace", "/resources/requests/memory", "64Mi")) == set()
	_paths("containers", _changed("add", "/resources/limits/cpu", "10m")) == {[0, "resources", "requests", "cpu"]}
	_paths("containers", _changed("add", "/resources/limits/cpu", "1")) == set()
}

test_ephemeral_containers_are_excused if _paths("ephemeralContainers", {"name": "debug"}) == set()
