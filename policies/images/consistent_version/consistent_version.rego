# METADATA
# title: One version of each image, and the label tells it
# description: |
#   All containers of an overlay that run the same image run the same version of it, or two halves of
#   one service drift apart. The label app.kubernetes.io/version says what the main container runs:
#   its tag up to the revision of the build (`1.22.1` for `1.22.1-2`). Without the whole overlay at
#   hand only the containers of one workload are compared.
# related_resources:
#   - https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
# custom:
#   requirements: [B6]
#   severity: error
#   remediation: |
#     Set image versions in one place only, and the label `app.kubernetes.io/version` to the upstream
#     version of the main container's tag.
package policies.images.consistent_version

import data.policies.lib.images
import data.policies.lib.kubernetes

_label := "app.kubernetes.io/version"

deny contains result if {
	kubernetes.pod_path(input)
	some image in images.images(input)
	others := _versions(images.name(image.reference)) - {_version(image.reference)}
	count(others) > 0
	result := {
		"msg": sprintf("%s runs %s, others run the same image as %s", [
			image.container,
			image.reference,
			concat(", ", others),
		]),
		"path": image.path,
		"value": image.reference,
	}
}

deny contains result if {
	tag := images.tag(_main_image)
	tag != ""
	some path in {["metadata", "labels"], array.concat(kubernetes.pod_path(input), ["metadata", "labels"])}
	version := object.get(input, array.concat(path, [_label]), "")
	not version in {"", regex.replace(tag, `-[0-9]+$`, "")}
	result := {
		"msg": sprintf("%s is labelled as version %s and runs %s", [kubernetes.describe(input), version, _main_image]),
		"path": array.concat(path, [_label]),
		"value": version,
	}
}

# _versions(name) is the versions of the image that the input and the overlay run.
_versions(name) := object.get(_versions_by_name, name, set()) | {_version(image.reference) |
	some image in images.images(input)
	images.name(image.reference) == name
}

# Of each image, by its name, the versions that the overlay runs.
_versions_by_name[images.name(image.reference)] contains _version(image.reference) if {
	some workload in kubernetes.workloads
	some image in images.images(workload)
}

_version(reference) := trim_left(trim_prefix(reference, images.name(reference)), ":")

_main_image := container.image if {
	some container in kubernetes.pod_spec(input).containers
	container.name == kubernetes.workload_service_name(input)
}
