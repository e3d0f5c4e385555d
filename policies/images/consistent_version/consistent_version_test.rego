package policies.images.consistent_version_test

import data.policies.images.consistent_version

_label := "app.kubernetes.io/version"

_deployment(version, images) := {
	"kind": "Deployment",
	"metadata": {"name": "web", "labels": {_label: version}},
	"spec": {"template": {
		"metadata": {"labels": {"app.kubernetes.io/name": "web", _label: version}},
		"spec": {"containers": [{"name": name, "image": image} | some name, image in images]},
	}},
}

_paths(object, inventory) := paths if {
	paths := {result.path | some result in consistent_version.deny} with input as object with data.inventory as inventory
}

_image(i) := ["spec", "template", "spec", "containers", i, "image"]

_labels := {["metadata", "labels", _label], ["spec", "template", "metadata", "labels", _label]}

test_the_version_of_the_tag_is_allowed if {
	_paths(_deployment("1.22.1", {"web": "localhost/web:1.22.1-1", "proxy": "localhost/proxy:3-1"}), []) == set()
	_paths(_deployment("1.22.1", {"web": "localhost/web:1.22.1"}), []) == set()
	_paths(_deployment("1.22.1-rc.1", {"web": "localhost/web:1.22.1-rc.1-4"}), []) == set()
}

test_another_version_is_denied if {
	_paths(_deployment("1.22", {"web": "localhost/web:1.22.1-1"}), []) == _labels
	_paths(_deployment("1.22.1-1", {"web": "localhost/web:1.22.1-1"}), []) == _labels
}

test_either_label_counts if {
	object := json.patch(_deployment("1.0", {"web": "localhost/web:1.0-1"}), [{"op": "replace", "path": "/metadata/labels/app.kubernetes.io~1version", "value": "2.0"}])
	_paths(object, []) == {["metadata", "labels", _label]}
}

test_what_has_no_version_is_not_compared if {
	_paths(_deployment("1.0", {"web": "localhost/web"}), []) == set()
	_paths(_deployment("", {"web": "localhost/web:1.0-1"}), []) == set()
	_paths(_deployment("1.0", {"other": "localhost/web:2.0-1"}), []) == set()
	_paths({"kind": "Service", "metadata": {"name": "web"}}, []) == set()
}

test_two_versions_in_one_pod_are_denied if {
	_paths(_deployment("1.0", {"a": "localhost/web:1.0-1", "web": "localhost/web:1.0-2"}), []) == {_image(0), _image(1)}
}

test_two_versions_in_the_overlay_are_denied if {
	mine := _deployment("1.0", {"web": "localhost/web:1.0-1"})
	_paths(mine, [mine, _deployment("1.0", {"web": "localhost/web:1.0-1"})]) == set()
	_paths(mine, [mine, _deployment("1.0", {"web": "localhost/web:1.0-2"})]) == {_image(0)}
	_paths(mine, [mine, _deployment("1.0", {"web": "elsewhere/web:1.0-2"})]) == set()
}

test_a_digest_is_part_of_the_version if {
	mine := _deployment("1.0", {"web": "localhost/web:1.0-1"})
	_paths(mine, [_deployment("1.0", {"web": "localhost/web:1.0-1@sha256:0"})]) == {_image(0)}
}
