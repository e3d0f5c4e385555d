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

_service := {
	"kind": "Service",
	"metadata": {"name": "web", "namespace": "apps"},
	"spec": {"type": "LoadBalancer", "selector": {"app.kubernetes.io/name": "web"}},
}

test_workloads_are_objects_with_pods if {
	kubernetes.workloads == [_deployment, {"kind": "Pod"}] with data.inventory as [_service, _deployment, {"kind": "Pod"}]
}

test_selected_by_stays_in_the_namespace if {
	elsewhere := object.union(_deployment, {"metadata": {"namespace": "elsewhere"}})
	kubernetes.selected_by({}, "apps") == [_deployment] with data.inventory as [_deployment, elsewhere]
	kubernetes.selected_by({"matchLabels": {"app.kubernetes.io/name": "db"}}, "apps") == [] with data.inventory as [_deployment]
}

test_a_service_leads_to_what_it_selects if {
	kubernetes.selected_by_service(_service) == [_deployment] with data.inventory as [_deployment]
	kubernetes.selected_by_service(json.remove(_service, ["/spec/selector"])) == [] with data.inventory as [_deployment]
}

test_load_balancers if {
	other := {"kind": "Service", "metadata": {"name": "db"}, "spec": {}}
	kubernetes.load_balancers == [_service] with data.inventory as [other, _service, _deployment]
}

test_target_ports if {
	ports := [{"name": "https", "containerPort": 443}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]
	workload := json.patch(_deployment, [{"op": "add", "path": "/spec/template/spec/containers/0/ports", "value": ports}])
	kubernetes.target_ports({"port": 443}, workload) == {ports[0]}
	kubernetes.target_ports({"port": 1, "targetPort": "https"}, workload) == {ports[0]}
	kubernetes.target_ports({"port": 1, "targetPort": 53, "protocol": "UDP"}, workload) == {ports[1]}
	kubernetes.target_ports({"port": 1, "targetPort": 53}, workload) == set()
	kubernetes.target_ports({"port": 1, "targetPort": "http"}, workload) == set()
}

test_settings_of_the_container_come_first if {
	pod := {"kind": "Pod", "spec": {"securityContext": {"runAsUser": 1, "runAsNonRoot": true}}}
	kubernetes.setting(pod, {"securityContext": {"runAsUser": 2}}, "runAsUser") == 2
	kubernetes.setting(pod, {"securityContext": {"runAsNonRoot": false}}, "runAsNonRoot") == false
	kubernetes.setting(pod, {"securityContext": {"runAsUser": null}}, "runAsUser") == 1
	kubernetes.setting(pod, {"securityContext": null}, "runAsUser") == 1
	kubernetes.setting(pod, {}, "runAsUser") == 1
	kubernetes.setting(pod, {}, "runAsGroup") == null
}

test_volumes_and_their_mounts if {
	mount := {"name": "data", "mountPath": "/data"}
	pod := {"kind": "Pod", "spec": {
		"volumes": [{"name": "tmp"}, {"name": "data"}],
		"containers": [{"name": "web", "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, mount]}],
	}}
	{entry.path | some entry in kubernetes.volumes(pod)} == {["spec", "volumes", 0], ["spec", "volumes", 1]}
	some entry in kubernetes.mounts(pod, "data")
	entry.mount == mount
	entry.holder.container.name == "web"
	entry.path == ["spec", "containers", 0, "volumeMounts", 1]
	kubernetes.mounts(pod, "none") == set()
}

test_a_container_without_a_name_can_be_described if {
	kubernetes.describe_container(_deployment, {"container": {"name": "web"}}) == "container web of Deployment web"
	kubernetes.describe_container(_deployment, {"container": {}}) == "container (no name) of Deployment web"
}

test_amount if {
	kubernetes.amount("1Mi") == 1048576
	kubernetes.amount(5) == 5
	every quantity in ["", "much", null, {}] {
		kubernetes.amount(quantity) == -1
	}
}

test_missing_is_absent_null_or_empty if {
	every spec in [{}, {"ports": null}, {"ports": []}] {
		kubernetes.missing({"spec": spec}, ["spec", "ports"])
	}
	kubernetes.missing({"spec": null}, ["spec", "ports"])
	kubernetes.missing({"spec": {"selector": {}}}, ["spec", "selector"])
	not kubernetes.missing({"spec": {"ports": [{}]}}, ["spec", "ports"])
	not kubernetes.missing({"spec": {"replicas": 0}}, ["spec", "replicas"])
}
