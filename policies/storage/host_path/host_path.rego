# METADATA
# title: The node's files are for one reader only
# description: |
#   Who can mount the node's files can usually become the node. A hostPath volume is allowed to the
#   workloads listed as `host_paths` in the facts, each with the very paths it reads and a reason, and
#   is mounted read-only in every container. A PersistentVolume of that kind would be the same by a
#   detour.
# related_resources:
#   - https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
# custom:
#   requirements: [B5]
#   severity: error
#   remediation: |
#     Keep data on a claim and scratch files in an emptyDir. A workload whose task it is to read the node
#     stands in `host_paths` of the facts, and mounts with `readOnly: true`.
package policies.storage.host_path

import data.policies.lib.kubernetes

deny contains result if {
	some entry in _volumes
	path := object.get(entry.volume.hostPath, "path", "")
	not path in _allowed
	result := {
		"msg": sprintf("%s mounts %s of the node, and nothing says what for", [kubernetes.describe(input), path]),
		"path": array.concat(entry.path, ["hostPath", "path"]),
		"value": path,
	}
}

deny contains result if {
	some entry in _volumes
	some use in kubernetes.mounts(input, entry.volume.name)
	found := object.get(use.mount, "readOnly", false)
	found != true
	result := {
		"msg": sprintf("%s may write to %s of the node", [
			kubernetes.describe_container(input, use.holder),
			object.get(entry.volume.hostPath, "path", "a path"),
		]),
		"path": array.concat(use.path, ["readOnly"]),
		"value": found,
	}
}

deny contains result if {
	input.kind == "PersistentVolume"
	path := input.spec.hostPath.path
	result := {
		"msg": sprintf("%s is %s of the node", [kubernetes.describe(input), path]),
		"path": ["spec", "hostPath", "path"],
		"value": path,
	}
}

_volumes contains entry if {
	some entry in kubernetes.volumes(input)
	entry.volume.hostPath
}

# An entry without a reason does not count.
_allowed contains path if {
	some fact in data.facts.host_paths
	fact.workload == sprintf("%s/%s/%s", [input.kind, kubernetes.namespace(input), input.metadata.name])
	fact.reason != ""
	some path in fact.paths
}
