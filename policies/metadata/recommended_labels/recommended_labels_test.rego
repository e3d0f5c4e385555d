package policies.metadata.recommended_labels_test

import data.policies.metadata.recommended_labels

_labels := {
	"app.kubernetes.io/name": "web",
	"app.kubernetes.io/component": "site",
	"app.kubernetes.io/part-of": "apps",
	"app.kubernetes.io/managed-by": "kustomize",
}

_of_workloads := object.union(_labels, {"app.kubernetes.io/version": "1.0"})

_service := {"kind": "Service", "metadata": {"name": "web", "labels": _labels}}

_deployment := {
	"kind": "Deployment",
	"metadata": {"name": "web", "labels": _of_workloads},
	"spec": {"template": {"metadata": {"labels": _of_workloads}}},
}

_paths(manifest) := paths if {
	paths := {result.path | some result in recommended_labels.deny} with input as manifest
		with data.facts as {"part_of": "apps"}
}

test_labelled_is_allowed if {
	_paths(_service) == set()
	_paths(_deployment) == set()
	_paths({"kind": "Pod", "metadata": {"name": "web", "labels": _of_workloads}}) == set()
}

test_each_missing_label_is_denied if {
	every label in object.keys(_labels) {
		labels := object.remove(_labels, [label])
		_paths({"kind": "Service", "metadata": {"name": "web", "labels": labels}}) == {["metadata", "labels", label]}
	}
}

test_no_labels_at_all_are_denied if {
	count(_paths({"kind": "ConfigMap", "metadata": {"name": "web"}})) == 4
	count(_paths({"kind": "ConfigMap", "metadata": {"name": "web", "labels": null}})) == 4
	count(_paths({"kind": "Pod", "metadata": {"name": "web"}})) == 5
	count(_paths({"kind": "Deployment", "metadata": {"name": "web"}})) == 10
}

test_an_empty_label_is_denied if {
	_paths(json.patch(_service, [{"op": "replace", "path": "/metadata/labels/app.kubernetes.io~1component", "value": ""}])) == {["metadata", "labels", "app.kubernetes.io/component"]}
}

test_pods_count if {
	path := "/spec/template/metadata/labels/app.kubernetes.io~1version"
	_paths(json.remove(_deployment, [path])) == {["spec", "template", "metadata", "labels", "app.kubernetes.io/version"]}
	_paths(json.remove(_deployment, ["/metadata/labels/app.kubernetes.io~1version"])) == {["metadata", "labels", "app.kubernetes.io/version"]}
}

test_part_of_something_else_is_denied if {
	_paths(json.patch(_service, [{"op": "replace", "path": "/metadata/labels/app.kubernetes.io~1part-of", "value": "others"}])) == {["metadata", "labels", "app.kubernetes.io/part-of"]}
}
