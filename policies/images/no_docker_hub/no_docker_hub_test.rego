package policies.images.no_docker_hub_test

import data.policies.images.no_docker_hub

_paths(field, image) := paths if {
	paths := {result.path | some result in no_docker_hub.deny} with input as {
		"kind": "Deployment",
		"metadata": {"name": "web"},
		"spec": {"template": {"spec": {field: [{"name": "web", "image": image}]}}},
	}
}

_fields := ["containers", "initContainers", "ephemeralContainers"]

test_other_registries_are_allowed if {
	every image in [
		"localhost/web:1.0",
		"localhost:5000/web",
		"registry.example.com/apps/web:1.0",
		"registry.example.com:443/docker.io/web",
		"docker.example.com/web",
		"notdocker.io/web",
	] {
		_paths("containers", image) == set()
	}
}

test_no_registry_is_denied if {
	every field in _fields {
		every image in ["web", "web:1.0", "library/web", "apps/web:1.0", ""] {
			_paths(field, image) == {["spec", "template", "spec", field, 0, "image"]}
		}
	}
}

test_docker_hub_is_denied if {
	every field in _fields {
		every image in [
			"docker.io/library/web",
			"index.docker.io/web",
			"registry-1.docker.io/web:1.0",
			"registry.hub.docker.com/web",
			"docker.io:443/web",
			"DOCKER.IO/web",
			"docker.io./web",
		] {
			_paths(field, image) == {["spec", "template", "spec", field, 0, "image"]}
		}
	}
}

test_a_container_without_an_image_is_denied if {
	count(no_docker_hub.deny) == 1 with input as {"kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{}]}}
}
