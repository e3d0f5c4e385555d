# METADATA
# title: Every container has a readiness probe
# description: |
#   A pod counts as ready, and gets traffic, as soon as its containers run, unless each says how to
#   find out that it really serves. A startup probe is no substitute: once it has succeeded it never
#   asks again. Whether a Service selects the pod makes no difference, for a rollout waits for
#   readiness too. Jobs and ordinary init containers end by themselves and are excused.
# related_resources:
#   - https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
# custom:
#   requirements: [G2]
#   severity: error
#   remediation: |
#     Add a `readinessProbe` with `httpGet`, `exec` or `grpc` that succeeds once the service can be used.
package policies.workloads.readiness_probe

import data.policies.lib.kubernetes

deny contains result if {
	some entry in kubernetes.serving_containers(input)
	not _asks(entry.container)
	result := {
		"msg": sprintf("%s has no readiness probe", [kubernetes.describe_container(input, entry)]),
		"path": array.concat(entry.path, ["readinessProbe"]),
	}
}

# A probe without a handler asks nothing.
_asks(container) if {
	some handler in ["httpGet", "exec", "grpc", "tcpSocket"]
	container.readinessProbe[handler]
}
