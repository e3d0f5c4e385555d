package policies.workloads.service_account_test

import data.policies.workloads.service_account

_deployment(spec) := {"kind": "Deployment", "metadata": {"name": "web", "namespace": "apps"}, "spec": {"template": {
	"metadata": {"labels": {"app.kubernetes.io/name": "web"}},
	"spec": spec,
}}}

_found(manifest) := found if {
	found := {[result.path, result.value] | some result in service_account.deny} with input as manifest
}

_path := ["spec", "template", "spec", "serviceAccountName"]

test_own_is_allowed if {
	_found(_deployment({"serviceAccountName": "web"})) == set()
	_found({"kind": "Service", "metadata": {"name": "web"}}) == set()
}

test_default_is_denied if {
	_found(_deployment({})) == {[_path, ""]}
	_found(_deployment({"serviceAccountName": "default"})) == {[_path, "default"]}
	_found(_deployment({"serviceAccountName": null})) == {[_path, null]}
}

test_another_services_is_denied if {
	_found(_deployment({"serviceAccountName": "db"})) == {[_path, "db"]}
}

test_jobs_and_pods_count if {
	count(_found({"kind": "Job", "metadata": {"name": "web"}})) == 1
	count(_found({"kind": "Pod", "metadata": {"name": "web"}, "spec": {}})) == 1
}

test_without_the_label_any_own_one_will_do if {
	workload := json.remove(_deployment({"serviceAccountName": "db"}), ["/spec/template/metadata"])
	_found(workload) == set()
}
