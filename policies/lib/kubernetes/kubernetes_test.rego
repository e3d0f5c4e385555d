package policies.lib.kubernetes_test

import data.policies.lib.kubernetes

_deployment := {"kind": "Deployment", "metadata": {"name": "web", "namespace": "apps"}, "spec": {"template": {
	"metadata": {"labels": {"app.kubernetes.io/name": "web"}},
	"spec": {
		"initContainers": [{"name": "wait"}, {"name": "proxy", "restartPolicy": "Always"}],
		"containers": [{"name": "web"}],
	},
}}}

test_pod_paths if {
	kubernetes.pod_path(_deployment) == ["spec", "template"]
	kubernetes.pod_path({"kind": "CronJob"}) == ["spec", "jobTemplate", "spec", "template"]
	kubernetes.pod_path({"kind": "Pod"}) == []
	not kubernetes.pod_path({"kind": "Service"})
}

test_pod_of_a_bare_pod_is_itself if {
	kubernetes.pod_spec({"kind": "Pod", "spec": {"hostNetwork": true}}) == {"hostNetwork": true}
}

test_containers_carry_their_path if {
	paths := {entry.path | some entry in kubernetes.containers(_deployment)}
	paths == {
		["spec", "template", "spec", "initContainers", 0],
		["spec", "template", "spec", "initContainers", 1],
		["spec", "template", "spec", "containers", 0],
	}
}

test_serving_containers_are_containers_and_native_sidecars if {
	names := {entry.container.name | some entry in kubernetes.serving_containers(_deployment)}
	names == {"web", "proxy"}
}

test_a_job_serves_nothing if {
	kubernetes.serving_containers(object.union(_deployment, {"kind": "Job"})) == set()
}

test_no_inventory_is_an_empty_one if {
	kubernetes.inventory == []
	kubernetes.peers("Service") == [] with input as _deployment
}

test_peers_share_the_namespace if {
	other := {"kind": "Service", "metadata": {"name": "x", "namespace": "elsewhere"}}
	same := {"kind": "Service", "metadata": {"name": "y", "namespace": "apps"}}
	kubernetes.peers("Service") == [same] with input as _deployment with data.inventory as [other, same]
}

test_label_selectors if {
	labels := {"a": "1"}
	kubernetes.label_selector_matches({}, labels)
	kubernetes.label_selector_matches({"matchLabels": {"a": "1"}}, labels)
	not kubernetes.label_selector_matches({"matchLabels": {"a": "2"}}, labels)
	kubernetes.label_selector_matches({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, labels)
	not kubernetes.label_selector_matches({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, labels)
	kubernetes.label_selector_matches({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}, labels)
	kubernetes.label_selector_matches({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, labels)
	not kubernetes.label_selector_matches({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, labels)
}
