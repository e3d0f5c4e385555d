package policies.workloads.token_automount_test

import data.policies.workloads.token_automount

_facts := {"api_clients": [{"service": "operator", "reason": "reads pods"}, {"service": "idle", "reason": ""}, {"service": "mute"}]}

_deployment(service, spec) := {"kind": "Deployment", "metadata": {"name": service}, "spec": {"template": {
	"metadata": {"labels": {"app.kubernetes.io/name": service}},
	"spec": spec,
}}}

_paths(object) := paths if {
	paths := {result.path | some result in token_automount.deny} with input as object with data.facts as _facts
}

_pod_field := ["spec", "template", "spec", "automountServiceAccountToken"]

_token := {"volumes": [{"name": "t", "projected": {"sources": [{"configMap": {}}, {"serviceAccountToken": {"path": "t"}}]}}]}

test_none_is_allowed if {
	_paths(_deployment("web", {"automountServiceAccountToken": false})) == set()
	_paths({"kind": "ServiceAccount", "metadata": {"name": "web"}, "automountServiceAccountToken": false}) == set()
	_paths({"kind": "Service", "metadata": {"name": "web"}}) == set()
}

test_a_named_service_may if {
	_paths(_deployment("operator", {"automountServiceAccountToken": true})) == set()
	_paths(_deployment("operator", _token)) == set()
}

test_a_reason_is_needed if {
	_paths(_deployment("idle", {"automountServiceAccountToken": true})) == {_pod_field}
	_paths(_deployment("mute", {"automountServiceAccountToken": true})) == {_pod_field}
}

test_pods_are_denied if {
	_paths(_deployment("web", {})) == {_pod_field}
	_paths(_deployment("web", {"automountServiceAccountToken": null})) == {_pod_field}
	_paths(_deployment("web", {"automountServiceAccountToken": true})) == {_pod_field}
	_paths({"kind": "Pod", "metadata": {"name": "web"}}) == {["spec", "automountServiceAccountToken"]}
}

test_without_facts_nobody_may if {
	count(token_automount.deny) == 1 with input as _deployment("operator", {"automountServiceAccountToken": true}) with data.facts as {}
}

test_a_projected_token_is_denied if {
	workload := _deployment("web", object.union(_token, {"automountServiceAccountToken": false}))
	_paths(workload) == {["spec", "template", "spec", "volumes", 0, "projected", "sources", 1, "serviceAccountToken"]}
}

test_service_accounts_are_denied if {
	every value in [true, null] {
		_paths({"kind": "ServiceAccount", "metadata": {"name": "operator"}, "automountServiceAccountToken": value}) == {["automountServiceAccountToken"]}
	}
	_paths({"kind": "ServiceAccount", "metadata": {"name": "web"}}) == {["automountServiceAccountToken"]}
}

test_token_secrets_are_denied if {
	_paths({"kind": "Secret", "metadata": {"name": "t"}, "type": "kubernetes.io/service-account-token"}) == {["type"]}
	_paths({"kind": "Secret", "metadata": {"name": "t"}, "type": "Opaque"}) == set()
}
