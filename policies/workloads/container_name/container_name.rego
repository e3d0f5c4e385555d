# METADATA
# title: Workload and main container bear the service's name
# description: |
#   Whoever knows a service's name (the label app.kubernetes.io/name of its pods) knows what to type:
#   the workload bears it, one of its containers does, and that one is the container that `kubectl
#   exec` and `kubectl logs` take by default, being the first or named by the annotation. Other
#   containers may bear any name. Jobs are named after what they do.
# related_resources:
#   - https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-default-container
# custom:
#   requirements: [R2, G1]
#   severity: error
#   remediation: |
#     Name the workload and its main container after the service, and put that container first or name
#     it in the annotation `kubectl.kubernetes.io/default-container` of the pod.
package policies.workloads.container_name

import data.policies.lib.kubernetes

_annotation := "kubectl.kubernetes.io/default-container"

deny contains result if {
	_service != ""
	name := object.get(input, ["metadata", "name"], "")
	name != _service
	result := {
		"msg": sprintf("%s is not named after its service %s", [kubernetes.describe(input), _service]),
		"path": ["metadata", "name"],
		"value": name,
	}
}

deny contains result if {
	_service != ""
	not _service in _names
	result := {
		"msg": sprintf("no container of %s is named after its service %s, only %s", [
			kubernetes.describe(input),
			_service,
			concat(", ", _names),
		]),
		"path": array.concat(kubernetes.pod_spec_path(input), ["containers"]),
		"value": _names,
	}
}

deny contains result if {
	_service in _names
	_default != _service
	result := {
		"msg": sprintf("the default container of %s is %s, not %s", [kubernetes.describe(input), _default, _service]),
		"path": array.concat(kubernetes.pod_path(input), ["metadata", "annotations", _annotation]),
		"value": _default,
	}
}

# A pod without the label is metadata/recommended_labels' concern.
_service := kubernetes.workload_service_name(input) if not input.kind in {"Job", "CronJob"}

_names := [object.get(container, "name", "") |
	some container in kubernetes.pod_spec(input).containers
]

_default := object.get(kubernetes.pod(input), ["metadata", "annotations", _annotation], _names[0])
