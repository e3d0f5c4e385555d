package policies.services.no_ingress_test

import data.policies.services.no_ingress

_paths(api_version, kind) := paths if {
	object := {"apiVersion": api_version, "kind": kind, "metadata": {"name": "web"}}
	paths := {result.path | some result in no_ingress.deny} with input as object
}

test_other_kinds_are_allowed if {
	_paths("v1", "Service") == set()
	_paths("networking.k8s.io/v1", "NetworkPolicy") == set()
}

test_ingress_is_denied_in_every_version if {
	_paths("networking.k8s.io/v1", "Ingress") == {["kind"]}
	_paths("extensions/v1beta1", "Ingress") == {["kind"]}
	_paths("networking.k8s.io/v1", "IngressClass") == {["kind"]}
}

test_every_kind_of_the_gateway_api_is_denied if {
	_paths("gateway.networking.k8s.io/v1", "Gateway") == {["apiVersion"]}
	_paths("gateway.networking.k8s.io/v1", "HTTPRoute") == {["apiVersion"]}
	_paths("gateway.networking.x-k8s.io/v1alpha1", "XListenerSet") == {["apiVersion"]}
}
