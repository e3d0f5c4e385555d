package policies.images.pinned_tag_test

import data.policies.images.pinned_tag

_digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

_paths(field, image) := paths if {
	paths := {result.path | some result in pinned_tag.deny} with input as {
		"kind": "Deployment",
		"metadata": {"name": "web"},
		"spec": {"template": {"spec": {field: [{"name": "web", "image": image}]}}},
	}
}

test_versions_are_allowed if {
	every tag in ["1.22.1-1", "v2", "12.4.0-1", "10.11.19-1", "8f3a1c2"] {
		_paths("containers", sprintf("localhost:5000/apps/web:%s", [tag])) == set()
	}
}

test_digests_are_allowed if {
	_paths("containers", sprintf("localhost/apps/web@%s", [_digest])) == set()
	_paths("containers", sprintf("localhost/apps/web:latest@%s", [_digest])) == set()
}

test_no_tag_is_denied if {
	every field in ["containers", "initContainers", "ephemeralContainers"] {
		every image in ["web", "localhost:5000/apps/web", "localhost/apps/web@sha256:0123", "localhost/apps/web:", ""] {
			_paths(field, image) == {["spec", "template", "spec", field, 0, "image"]}
		}
	}
}

test_moving_tags_are_denied if {
	every tag in ["latest", "Latest", "stable", "main", "edge", "stable-1", "1.22-nightly", "bookworm"] {
		_paths("containers", sprintf("localhost/apps/web:%s", [tag])) == {["spec", "template", "spec", "containers", 0, "image"]}
	}
}
