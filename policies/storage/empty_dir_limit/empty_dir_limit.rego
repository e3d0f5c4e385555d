# METADATA
# title: Scratch space is bounded
# description: |
#   An emptyDir without a size limit can fill the node's disk, or its memory, and take other pods with
#   it. A limit of zero is none, and so is a volume that only has a name, which is an emptyDir too.
# related_resources:
#   - https://kubernetes.io/docs/concepts/storage/volumes/#emptydir
# custom:
#   requirements: [B5]
#   severity: error
#   remediation: |
#     Set `emptyDir.sizeLimit` to what the container really needs.
package policies.storage.empty_dir_limit

import data.policies.lib.kubernetes

deny contains result if {
	some entry in kubernetes.volumes(input)
	_is_empty_dir(entry.volume)
	limit := object.get(entry.volume, ["emptyDir", "sizeLimit"], null)
	kubernetes.amount(limit) <= 0
	result := {
		"msg": sprintf("the emptyDir %s of %s has no size limit", [
			object.get(entry.volume, "name", "(no name)"),
			kubernetes.describe(input),
		]),
		"path": array.concat(entry.path, ["emptyDir", "sizeLimit"]),
		"value": limit,
	}
}

_is_empty_dir(volume) if "emptyDir" in object.keys(volume)

_is_empty_dir(volume) if count(object.keys(volume) - {"name"}) == 0
