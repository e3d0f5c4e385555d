# METADATA
# title: Only who uses the API gets a token
# description: |
#   A token of the API in a pod that never asks the API is a present to whoever breaks in. Every pod
#   says that it wants none, except those of the services named in `api_clients` of the facts, each
#   with a reason; a projected volume is another way to get one. No ServiceAccount hands tokens out by
#   itself, so that a second pod that uses it has to say so too. A Secret that the cluster would fill
#   with a token that never expires is refused to all.
# related_resources:
#   - https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting
# custom:
#   requirements: [B1]
#   severity: error
#   remediation: |
#     Set `automountServiceAccountToken: false` in the pod spec and in the ServiceAccount. A service that
#     uses the API sets it to true in its pod spec alone and stands, with a reason, in `api_clients` of
#     the facts.
package policies.workloads.token_automount

import data.policies.lib.kubernetes

deny contains result if {
	kubernetes.pod_path(input)
	not kubernetes.workload_service_name(input) in _api_clients
	found := object.get(kubernetes.pod_spec(input), "automountServiceAccountToken", null)
	found != false
	result := {
		"msg": sprintf("%s gets a token of the API, and nothing says what for", [kubernetes.describe(input)]),
		"path": array.concat(kubernetes.pod_spec_path(input), ["automountServiceAccountToken"]),
		"value": found,
	}
}

deny contains result if {
	some entry in kubernetes.volumes(input)
	not kubernetes.workload_service_name(input) in _api_clients
	some i, source in entry.volume.projected.sources
	source.serviceAccountToken
	result := {
		"msg": sprintf("%s gets a token of the API by a volume, and nothing says what for", [kubernetes.describe(input)]),
		"path": array.concat(entry.path, ["projected", "sources", i, "serviceAccountToken"]),
	}
}

deny contains result if {
	input.kind == "ServiceAccount"
	found := object.get(input, "automountServiceAccountToken", null)
	found != false
	result := {
		"msg": sprintf("%s gives a token of the API to every pod that uses it", [kubernetes.describe(input)]),
		"path": ["automountServiceAccountToken"],
		"value": found,
	}
}

deny contains result if {
	input.kind == "Secret"
	input.type == "kubernetes.io/service-account-token"
	result := {
		"msg": sprintf("%s is filled with a token of the API that never expires", [kubernetes.describe(input)]),
		"path": ["type"],
		"value": input.type,
	}
}

# An entry without a reason does not count.
_api_clients contains client.service if {
	some client in data.facts.api_clients
	client.reason != ""
}
