# METADATA
# title: Images come from our own registries
# description: |
#   Every image stands below one of the prefixes listed as `registries` in the facts: what this
#   repository builds, and nothing else. Names that mean Docker Hub are images/no_docker_hub's concern.
# related_resources:
#   - https://kubernetes.io/docs/concepts/containers/images/
# custom:
#   requirements: [B1]
#   severity: error
#   facts: [registries]
#   remediation: |
#     Use an image that this repository builds, or add the registry and the path below it to `registries`
#     in the facts.
package policies.images.allowed_registries

import data.policies.lib.images
import data.policies.lib.kubernetes

deny contains result if {
	kubernetes.pod_path(input)
	some image in images.images(input)
	not _is_allowed(image.reference)
	not images.is_docker_hub(image.reference)
	result := {
		"msg": sprintf("%s runs the image %q, which is from none of our registries", [image.container, image.reference]),
		"path": image.path,
		"value": image.reference,
	}
}

# The slash keeps out a neighbour whose name only begins alike.
_is_allowed(reference) if {
	some prefix in data.facts.registries
	startswith(reference, sprintf("%s/", [trim_suffix(prefix, "/")]))
}
