package policies.lib.images_test

import data.policies.lib.images

_digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

test_registry if {
	images.registry("nginx") == ""
	images.registry("nginx:1.22") == ""
	images.registry("library/nginx:1.22") == ""
	images.registry("localhost/nginx:1.22") == "localhost"
	images.registry("localhost:5000/nginx") == "localhost:5000"
	images.registry("registry.example.com/a/b/nginx:1.22") == "registry.example.com"
	images.registry("") == ""
}

test_name_tag_and_digest if {
	every name in ["nginx", "localhost/nginx", "localhost:5000/apps/nginx"] {
		images.name(name) == name
		images.tag(name) == ""
		images.digest(name) == ""
		tagged := sprintf("%s:1.22-1", [name])
		images.name(tagged) == name
		images.tag(tagged) == "1.22-1"
		pinned := sprintf("%s@%s", [tagged, _digest])
		images.name(pinned) == name
		images.tag(pinned) == "1.22-1"
		images.digest(pinned) == _digest
	}
}

test_half_a_digest_is_none if {
	images.digest("nginx@sha256:0123") == ""
	images.digest("nginx@") == ""
}

test_images_of_all_containers if {
	pod := {"kind": "Pod", "metadata": {"name": "web"}, "spec": {
		"initContainers": [{"name": "wait", "image": "a"}],
		"containers": [{"name": "web"}],
	}}
	{[entry.path, entry.reference] | some entry in images.images(pod)} == {
		[["spec", "initContainers", 0, "image"], "a"],
		[["spec", "containers", 0, "image"], ""],
	}
}

test_docker_hub if {
	images.is_docker_hub("web:1.0")
	images.is_docker_hub("apps/web:1.0")
	images.is_docker_hub("registry-1.docker.io/web:1.0")
	not images.is_docker_hub("localhost/web:1.0")
	not images.is_docker_hub("docker.example.com/web:1.0")
}
