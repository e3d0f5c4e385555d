# METADATA
# title: Every container has a liveness probe
# description: |
#   A server that hangs is not restarted unless something asks it. Every container that runs as long
#   as its pod must say how it is asked, in every kind of workload. Jobs and ordinary init containers
#   end by themselves and are excused; native sidecars are not.
# related_resources:
#   - https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
# custom:
#   requirements: [B4, R13]
#   severity: error
#   remediation: |
#     Add a `livenessProbe` with `httpGet`, `exec` or `grpc` that proves the server answers.
package policies.workloads.liveness_probe

import data.policies.lib.kubernetes

deny contains result if {
	some entry in kubernetes.serving_containers(input)
	not _asks(entry.container)
	result := {
		"msg": sprintf("%s has no liveness probe", [kubernetes.describe_container(input, entry)]),
		"path": array.concat(entry.path, ["livenessProbe"]),
	}
}

# A probe without a handler asks nothing.
_asks(container) if {
	some handler in ["httpGet", "exec", "grpc", "tcpSocket"]
	container.livenessProbe[handler]
}
