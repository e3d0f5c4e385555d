# METADATA
# title: Every service has an identity of its own
# description: |
#   The ServiceAccount of a pod bears the name of the pod's service (the label app.kubernetes.io/name).
#   On one that is shared, above all on `default`, every permission given to one is given to all.
#   That it is in the overlay is references/objects_exist.
# related_resources:
#   - https://kubernetes.io/docs/concepts/security/service-accounts/
# custom:
#   requirements: [B1]
#   severity: error
#   remediation: |
#     Add a ServiceAccount named like the service and set it as `serviceAccountName` in the pod spec.
package policies.workloads.service_account

import data.policies.lib.kubernetes

deny contains result if {
	kubernetes.pod_path(input)
	_name in {"", "default", null}
	result := {
		"msg": sprintf("%s runs as the ServiceAccount default, which all may share", [kubernetes.describe(input)]),
		"path": _path,
		"value": _name,
	}
}

# A pod without the label is metadata/recommended_labels' concern.
deny contains result if {
	kubernetes.pod_path(input)
	not _name in {"", "default", null}
	service := kubernetes.workload_service_name(input)
	not service in {"", _name}
	result := {
		"msg": sprintf("%s runs as the ServiceAccount %s, not as that of its service %s", [
			kubernetes.describe(input),
			_name,
			service,
		]),
		"path": _path,
		"value": _name,
	}
}

_name := object.get(kubernetes.pod_spec(input), "serviceAccountName", "")

_path := array.concat(kubernetes.pod_spec_path(input), ["serviceAccountName"])
