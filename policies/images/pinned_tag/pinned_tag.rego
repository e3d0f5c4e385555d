# METADATA
# title: Images are pinned to a version
# description: |
#   The same commit must run the same images wherever and whenever it is deployed. An image without a
#   tag means `latest`, and a tag like `stable` means something else tomorrow. A whole digest pins
#   whatever the tag says.
# related_resources:
#   - https://kubernetes.io/docs/concepts/containers/images/#image-names
# custom:
#   requirements: [B1, B6]
#   severity: error
#   remediation: |
#     Give the image a tag that names one version, `<version>-<revision>`, or a digest.
package policies.images.pinned_tag

import data.policies.lib.images
import data.policies.lib.kubernetes

_moving := {
	"beta", "canary", "current", "dev", "develop", "development", "edge", "head", "latest", "lts", "main", "mainline",
	"master", "next", "nightly", "prod", "production", "release", "rolling", "snapshot", "stable", "staging", "testing",
	"trunk", "unstable",
}

deny contains result if {
	kubernetes.pod_path(input)
	some image in images.images(input)
	images.digest(image.reference) == ""
	images.tag(image.reference) == ""
	result := {
		"msg": sprintf("%s runs the image %q, which has neither a tag nor a whole digest", [image.container, image.reference]),
		"path": image.path,
		"value": image.reference,
	}
}

deny contains result if {
	kubernetes.pod_path(input)
	some image in images.images(input)
	images.digest(image.reference) == ""
	tag := images.tag(image.reference)
	tag != ""
	_moves(tag)
	result := {
		"msg": sprintf("%s runs the image %q, whose tag names no version", [image.container, image.reference]),
		"path": image.path,
		"value": image.reference,
	}
}

_moves(tag) if not regex.match(`[0-9]`, tag)

_moves(tag) if {
	some word in regex.split(`[-_.+]`, lower(tag))
	word in _moving
}
