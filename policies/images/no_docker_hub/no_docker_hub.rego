# METADATA
# title: Nothing is pulled from Docker Hub
# description: |
#   An image name without a registry host means Docker Hub to every container runtime, and so do the
#   names that Docker Hub's own hosts have.
# related_resources:
#   - https://kubernetes.io/docs/concepts/containers/images/#image-names
# custom:
#   requirements: [B1]
#   severity: error
#   facts: [registries]
#   remediation: |
#     Build the image in this repository and name it with its registry's host, which the overlay's
#     `images:` sets.
package policies.images.no_docker_hub

import data.policies.lib.images
import data.policies.lib.kubernetes

deny contains result if {
	kubernetes.pod_path(input)
	some image in images.images(input)
	images.is_docker_hub(image.reference)
	result := {
		"msg": sprintf("%s runs the image %q, which is Docker Hub's", [image.container, image.reference]),
		"path": image.path,
		"value": image.reference,
	}
}
