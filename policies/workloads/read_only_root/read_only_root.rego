# METADATA
# title: The root filesystem is read-only
# description: |
#   What runs is what the image holds: nothing can be changed or dropped into it while it runs. What
#   must be written goes to a volume. The Pod Security Standards do not ask for this, and a pod cannot
#   say it for its containers, so each container does, init and ephemeral ones included.
# related_resources:
#   - https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
# custom:
#   requirements: [B1]
#   severity: error
#   remediation: |
#     Set `securityContext.readOnlyRootFilesystem: true` on the container and mount an emptyDir with a
#     `sizeLimit` where it writes.
package policies.workloads.read_only_root

import data.policies.lib.kubernetes

deny contains result if {
	some entry in kubernetes.containers(input)
	found := object.get(entry.container, ["securityContext", "readOnlyRootFilesystem"], null)
	found != true
	result := {
		"msg": sprintf("%s may write to its root filesystem", [kubernetes.describe_container(input, entry)]),
		"path": array.concat(entry.path, ["securityContext", "readOnlyRootFilesystem"]),
		"value": found,
	}
}
