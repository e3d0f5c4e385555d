package policies.references.objects_exist_test

import data.policies.references.objects_exist

_pod(spec) := {"kind": "Deployment", "metadata": {"name": "web", "namespace": "apps"}, "spec": {"template": {"spec": spec}}}

_object(kind, name) := {"kind": kind, "metadata": {"name": name, "namespace": "apps"}}

_config := object.union(_object("ConfigMap", "config"), {"data": {"a.conf": "a"}, "binaryData": {"b.bin": "Yg=="}})

_paths(spec) := paths if {
	object := _pod(spec)
	paths := {result.path | some result in objects_exist.deny} with input as object
		with data.inventory as [
			object,
			_config,
			_object("PersistentVolumeClaim", "data"),
			_object("ServiceAccount", "web"),
			{"kind": "ConfigMap", "metadata": {"name": "away", "namespace": "elsewhere"}},
		]
}

_volumes := ["spec", "template", "spec", "volumes"]

test_what_is_there_is_allowed if {
	_paths({
		"serviceAccountName": "web",
		"containers": [{
			"name": "web",
			"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "a.conf"}}}],
			"envFrom": [{"configMapRef": {"name": "config"}}],
		}],
		"volumes": [
			{"name": "a", "configMap": {"name": "config", "items": [{"key": "b.bin", "path": "b"}]}},
			{"name": "b", "persistentVolumeClaim": {"claimName": "data"}},
			{"name": "c", "secret": {"secretName": "password"}},
		],
	}) == set()
}

test_what_the_cluster_makes_is_allowed if {
	_paths({
		"serviceAccountName": "default",
		"volumes": [{"name": "a", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}],
	}) == set()
}

test_a_missing_config_map_is_denied if {
	every name in ["other", "away"] {
		_paths({"volumes": [{"name": "a", "configMap": {"name": name}}]}) == {array.concat(_volumes, [0, "configMap", "name"])}
	}
}

test_optional_is_no_excuse if {
	_paths({"volumes": [{"name": "a", "configMap": {"name": "other", "optional": true}}]}) == {array.concat(_volumes, [0, "configMap", "name"])}
}

test_a_missing_key_is_denied if {
	_paths({"volumes": [{"name": "a", "configMap": {"name": "config", "items": [{"key": "c.conf", "path": "c"}]}}]}) == {array.concat(_volumes, [0, "configMap", "items", 0, "key"])}
	_paths({"containers": [{"name": "web", "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "c.conf"}}}]}]}) == {["spec", "template", "spec", "containers", 0, "env", 0, "valueFrom", "configMapKeyRef", "key"]}
}

test_a_missing_claim_is_denied if {
	_paths({"volumes": [{"name": "a", "persistentVolumeClaim": {"claimName": "other"}}]}) == {array.concat(_volumes, [0, "persistentVolumeClaim", "claimName"])}
}

test_a_missing_service_account_is_denied if {
	_paths({"serviceAccountName": "other"}) == {["spec", "template", "spec", "serviceAccountName"]}
	_paths({"serviceAccount": "other"}) == {["spec", "template", "spec", "serviceAccount"]}
}

test_without_an_inventory_nothing_is_missed if {
	pod := _pod({"serviceAccountName": "other", "volumes": [{"name": "a", "configMap": {"name": "other"}}]})
	count(objects_exist.deny) == 0 with input as pod
}
