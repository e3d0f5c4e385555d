package policies.workloads.container_name_test

import data.policies.workloads.container_name

_annotation := "kubectl.kubernetes.io/default-container"

_deployment(name, containers, annotations) := {"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": {
	"metadata": {"labels": {"app.kubernetes.io/name": "web"}, "annotations": annotations},
	"spec": {"containers": [{"name": container} | some container in containers]},
}}}

_paths(object) := paths if {
	paths := {result.path | some result in container_name.deny} with input as object
}

test_first_or_annotated_is_allowed if {
	_paths(_deployment("web", ["web", "proxy"], {})) == set()
	_paths(_deployment("web", ["proxy", "web"], {_annotation: "web"})) == set()
	_paths({"kind": "Service", "metadata": {"name": "x", "labels": {"app.kubernetes.io/name": "web"}}}) == set()
}

test_another_name_of_the_workload_is_denied if {
	_paths(_deployment("site", ["web"], {})) == {["metadata", "name"]}
}

test_no_such_container_is_denied if {
	_paths(_deployment("web", ["server", "proxy"], {})) == {["spec", "template", "spec", "containers"]}
	_paths(_deployment("web", [], {})) == {["spec", "template", "spec", "containers"]}
}

test_another_default_is_denied if {
	path := ["spec", "template", "metadata", "annotations", _annotation]
	_paths(_deployment("web", ["proxy", "web"], {})) == {path}
	_paths(_deployment("web", ["web", "proxy"], {_annotation: "proxy"})) == {path}
}

test_an_init_container_does_not_count if {
	object := json.patch(_deployment("web", ["server"], {}), [{"op": "add", "path": "/spec/template/spec/initContainers", "value": [{"name": "web"}]}])
	_paths(object) == {["spec", "template", "spec", "containers"]}
}

test_jobs_and_pods_without_the_label_are_excused if {
	job := _deployment("site", ["server"], {})
	_paths(object.union(job, {"kind": "Job"})) == set()
	_paths(json.remove(job, ["/spec/template/metadata/labels"])) == set()
}
