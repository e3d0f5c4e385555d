# METADATA
# title: What must outlive a pod is on a claim
# description: |
#   The facts say, as `persistent_data`, which containers of which service keep something at which
#   path. What is mounted there, or at a folder above, must be a claim: an emptyDir dies with the pod,
#   and a path without a mount with the container. Every claim says how much it needs. That the claim
#   is in the overlay is references/objects_exist.
# related_resources:
#   - https://kubernetes.io/docs/concepts/storage/persistent-volumes/#claims-as-volumes
# custom:
#   requirements: [R12, G9, B5]
#   severity: error
#   remediation: |
#     Mount a volume with `persistentVolumeClaim` at the path, in each container named in the facts, and
#     set `resources.requests.storage` of the claim.
package policies.storage.persistent_data

import data.policies.lib.kubernetes

deny contains result if {
	some wanted in _wanted
	not wanted.container in {entry.container.name | some entry in kubernetes.serving_containers(input)}
	result := {
		"msg": sprintf("%s has no container %s to keep %s", [kubernetes.describe(input), wanted.container, wanted.path]),
		"path": array.concat(kubernetes.pod_spec_path(input), ["containers"]),
	}
}

deny contains result if {
	some wanted in _wanted
	some entry in kubernetes.serving_containers(input)
	entry.container.name == wanted.container
	not _mounted(entry.container, wanted.path) in _claims
	result := {
		"msg": sprintf("%s keeps %s in what does not outlive the pod (%s)", [
			kubernetes.describe_container(input, entry),
			wanted.path,
			_what(_mounted(entry.container, wanted.path)),
		]),
		"path": _where(entry, _mounted(entry.container, wanted.path)),
	}
}

deny contains result if {
	some claim in _own_claims
	kubernetes.amount(object.get(claim.claim, ["spec", "resources", "requests", "storage"], null)) <= 0
	result := {
		"msg": sprintf("%s does not say how much storage it needs", [claim.of]),
		"path": array.concat(claim.path, ["spec", "resources", "requests", "storage"]),
	}
}

_wanted contains {"container": container, "path": fact.path} if {
	kubernetes.pod_path(input)
	not input.kind in {"Job", "CronJob"}
	some fact in data.facts.persistent_data
	fact.service == kubernetes.workload_service_name(input)
	some container in fact.containers
}

# The names of the pod's volumes that are claims, given as such or by a StatefulSet's templates.
_claims := {entry.volume.name | some entry in kubernetes.volumes(input); entry.volume.persistentVolumeClaim} | {template.metadata.name | some template in input.spec.volumeClaimTemplates}

# _mounted(container, path) is the volume that holds the path: of the mounts at it or above it the
# deepest. "" when there is none.
_mounted(container, path) := name if {
	depths := {count(mount.mountPath) | some mount in container.volumeMounts; _holds(mount.mountPath, path)}
	some mount in container.volumeMounts
	_holds(mount.mountPath, path)
	count(mount.mountPath) == max(depths)
	name := mount.name
} else := ""

_holds(folder, path) if startswith(sprintf("%s/", [path]), sprintf("%s/", [trim_right(folder, "/")]))

_what(volume) := "no volume at all" if volume == ""

_what(volume) := sprintf("the volume %s", [volume]) if volume != ""

# The volume that should be a claim, or the mounts that should have one.
_where(entry, name) := path if {
	some holder in kubernetes.volumes(input)
	holder.volume.name == name
	path := holder.path
} else := array.concat(entry.path, ["volumeMounts"])

_own_claims contains {"claim": input, "of": kubernetes.describe(input), "path": []} if {
	input.kind == "PersistentVolumeClaim"
}

_own_claims contains claim if {
	input.kind == "StatefulSet"
	some i, template in input.spec.volumeClaimTemplates
	claim := {
		"claim": template,
		"of": sprintf("claim template %s of %s", [template.metadata.name, kubernetes.describe(input)]),
		"path": ["spec", "volumeClaimTemplates", i],
	}
}
