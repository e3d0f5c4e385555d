# METADATA
# title: The containers of a pod share one process namespace
# description: |
#   A server that is PID 1 of its container ignores signals it has no handler for, so nobody can kill
#   it from inside; with a shared namespace it never is, and from the default container every process
#   of the pod can be reached. For that, and to share files, all containers of a pod run as the same
#   user, given as a number because only that can be compared. Jobs end by themselves and are excused.
# related_resources:
#   - https://kubernetes.io/docs/tasks/configure-pod-container/share-process-namespace/
# custom:
#   requirements: [G3, R13]
#   severity: error
#   generic: false
#   remediation: |
#     Set `shareProcessNamespace: true` and one `securityContext.runAsUser` in the pod spec, and no other
#     `runAsUser` in its containers.
package policies.workloads.process_namespace

import data.policies.lib.kubernetes

deny contains result if {
	_is_server
	found := object.get(kubernetes.pod_spec(input), "shareProcessNamespace", null)
	found != true
	result := {
		"msg": sprintf("the containers of %s do not share a process namespace", [kubernetes.describe(input)]),
		"path": array.concat(kubernetes.pod_spec_path(input), ["shareProcessNamespace"]),
		"value": found,
	}
}

deny contains result if {
	_is_server
	some entry in kubernetes.containers(input)
	not is_number(kubernetes.setting(input, entry.container, "runAsUser"))
	result := {
		"msg": sprintf("%s runs as whatever user its image names", [kubernetes.describe_container(input, entry)]),
		"path": array.concat(kubernetes.pod_spec_path(input), ["securityContext", "runAsUser"]),
	}
}

deny contains result if {
	_is_server
	count(_users) > 1
	some entry in kubernetes.containers(input)
	user := entry.container.securityContext.runAsUser
	is_number(user)
	result := {
		"msg": sprintf("%s runs as user %d, others of the pod do not", [kubernetes.describe_container(input, entry), user]),
		"path": array.concat(entry.path, ["securityContext", "runAsUser"]),
		"value": user,
	}
}

_is_server if {
	kubernetes.pod_path(input)
	not input.kind in {"Job", "CronJob"}
}

_users contains user if {
	some entry in kubernetes.containers(input)
	user := kubernetes.setting(input, entry.container, "runAsUser")
	is_number(user)
}
