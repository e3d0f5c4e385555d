package policies.metadata.namespace_set_test

import data.policies.metadata.namespace_set

_facts := {
	"namespaces": [
		{"name": "apps"},
		{"name": "default"},
		{"name": "lb-system", "existing": true, "groups": ["lb.example.com"]},
	],
	"cluster_scoped_kinds": ["example.com/Galaxy"],
}

_object(api_version, kind, namespace) := {
	"apiVersion": api_version,
	"kind": kind,
	"metadata": {"name": "web", "namespace": namespace},
}

_paths(manifest, inventory) := paths if {
	paths := {result.path | some result in namespace_set.deny} with input as manifest
		with data.inventory as inventory
		with data.facts as _facts
}

_allowed(manifest) if _paths(manifest, []) == set()

_denied(manifest) if _paths(manifest, []) == {["metadata", "namespace"]}

test_ours_are_allowed if {
	_allowed(_object("v1", "Service", "apps"))
	_allowed(_object("apps/v1", "Deployment", "apps"))
	_allowed(_object("lb.example.com/v1", "Pool", "lb-system"))
}

test_none_is_denied if {
	_denied(_object("v1", "Service", ""))
	_denied(_object("v1", "Service", null))
	_denied({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}})
	_denied({"kind": "Service"})
}

test_others_are_denied if {
	_denied(_object("v1", "Service", "kube-system"))
	_denied(_object("lb.example.com/v1", "Pool", "kube-system"))
}

test_default_is_denied_even_when_listed if _denied(_object("v1", "Service", "default"))

test_namespaces_for_some_groups if {
	_denied(_object("v1", "Service", "lb-system"))
	_denied(_object("lb.example.com/v1", "Pool", "apps"))
}

test_cluster_scoped_kinds if {
	_allowed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps"}})
	_allowed({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "web"}})
	_allowed({"apiVersion": "example.com/v1", "kind": "Galaxy", "metadata": {"name": "web"}})
	_denied(_object("rbac.authorization.k8s.io/v1", "ClusterRole", "apps"))
	_denied({"apiVersion": "other.example.com/v1", "kind": "ClusterRole", "metadata": {"name": "web"}})
}

test_the_overlay_makes_its_namespaces if {
	service := _object("v1", "Service", "apps")
	_paths(service, [service, {"kind": "Namespace", "metadata": {"name": "apps"}}]) == set()
	_paths(service, [service, {"kind": "Namespace", "metadata": {"name": "other"}}]) == {["metadata", "namespace"]}
	_paths(_object("lb.example.com/v1", "Pool", "lb-system"), [service]) == set()
}

_without_facts(object, inventory) := {result.path |
	some result in namespace_set.deny with input as object with data.inventory as inventory with data.facts as {}
}

test_without_facts_any_namespace_is_ours if {
	service := _object("v1", "Service", "shop")
	_without_facts(service, [service]) == set()
	_without_facts(_object("lb.example.com/v1", "Pool", "shop"), [service]) == set()
	_without_facts(_object("v1", "Service", "default"), [service]) == {["metadata", "namespace"]}
	_without_facts({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}, [service]) == {["metadata", "namespace"]}
	_without_facts(_object("rbac.authorization.k8s.io/v1", "ClusterRole", "shop"), []) == {["metadata", "namespace"]}
}

test_without_facts_a_custom_resource_may_belong_to_the_cluster if {
	_without_facts({"apiVersion": "lb.example.com/v1", "kind": "Galaxy", "metadata": {"name": "web"}}, []) == set()
}
