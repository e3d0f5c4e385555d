package policies.workloads.service_links_test

import data.policies.workloads.service_links

_paths(object) := paths if {
	paths := {result.path | some result in service_links.deny} with input as object
}

_deployment(spec) := {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": spec}}}

test_none_is_allowed if {
	_paths(_deployment({"enableServiceLinks": false})) == set()
	_paths({"kind": "Service", "metadata": {"name": "web"}}) == set()
}

test_anything_else_is_denied if {
	every spec in [{}, {"enableServiceLinks": true}, {"enableServiceLinks": null}] {
		_paths(_deployment(spec)) == {["spec", "template", "spec", "enableServiceLinks"]}
	}
	_paths({"kind": "Pod", "metadata": {"name": "web"}}) == {["spec", "enableServiceLinks"]}
	_paths({"kind": "CronJob", "metadata": {"name": "web"}}) == {["spec", "jobTemplate", "spec", "template", "spec", "enableServiceLinks"]}
}
