package policies.images.allowed_registries_test

import data.policies.images.allowed_registries

_facts := {"registries": ["localhost/apps", "registry.example.com/apps/"]}

_paths(field, image) := paths if {
	paths := {result.path | some result in allowed_registries.deny} with data.facts as _facts with input as {
		"kind": "Deployment",
		"metadata": {"name": "web"},
		"spec": {"template": {"spec": {field: [{"name": "web", "image": image}]}}},
	}
}

test_ours_are_allowed if {
	_paths("containers", "localhost/apps/web:1.0") == set()
	_paths("initContainers", "registry.example.com/apps/deep/web") == set()
}

test_others_are_denied if {
	every image in [
		"localhost/web:1.0",
		"localhost/apps:1.0",
		"localhost/apps-of-others/web:1.0",
		"registry.example.com/others/web:1.0",
		"registry.example.com.evil.example/apps/web:1.0",
		"quay.io/apps/web:1.0",
	] {
		every field in ["containers", "initContainers", "ephemeralContainers"] {
			_paths(field, image) == {["spec", "template", "spec", field, 0, "image"]}
		}
	}
}

test_docker_hub_is_another_policys if {
	_paths("containers", "web:1.0") == set()
	_paths("containers", "docker.io/web:1.0") == set()
}

test_without_facts_nothing_is_allowed if {
	count(allowed_registries.deny) == 1 with data.facts as {}
		with input as {"kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{"image": "localhost/apps/web"}]}}
}
