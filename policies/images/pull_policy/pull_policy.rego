# METADATA
# title: A container restarts without its registry
# description: |
#   With `imagePullPolicy: Always` a node asks the registry before every start of a container. The
#   answer is always the same, for images are pinned; but a container that has to come back at once
#   then waits for the registry, and one whose image only the node has never comes back.
# related_resources:
#   - https://kubernetes.io/docs/concepts/containers/images/#image-pull-policy
# custom:
#   requirements: [R13]
#   severity: error
#   remediation: |
#     Remove `imagePullPolicy`, which is then `IfNotPresent`, or set it to that or to `Never`.
package policies.images.pull_policy

import data.policies.lib.kubernetes

deny contains result if {
	some entry in kubernetes.containers(input)
	entry.container.imagePullPolicy == "Always"
	result := {
		"msg": sprintf("%s asks the registry for its image at every start", [kubernetes.describe_container(input, entry)]),
		"path": array.concat(entry.path, ["imagePullPolicy"]),
		"value": "Always",
	}
}
