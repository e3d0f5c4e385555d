# METADATA
# title: One pod at a time writes to a claim
# description: |
#   A claim that only one node may mount (ReadWriteOnce, ReadWriteOncePod) is not shared by two pods: a
#   rolling update starts the new one while the old one still writes, and either waits for ever or, on
#   the same node, has two servers on the same files. A Deployment that mounts one stops the old pod
#   first and has no second. Without the claim at hand nothing is said.
# related_resources:
#   - https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#recreate-deployment
# custom:
#   requirements: [R12, G9]
#   severity: error
#   remediation: |
#     Set `strategy: {type: Recreate}` and `replicas: 1`.
package policies.storage.recreate

import data.policies.lib.kubernetes

deny contains result if {
	some claim in _single_claims
	found := object.get(input, ["spec", "strategy", "type"], "RollingUpdate")
	found != "Recreate"
	result := {
		"msg": sprintf("%s is updated by %s, but its claim %s is for one pod at a time", [
			kubernetes.describe(input),
			found,
			claim,
		]),
		"path": ["spec", "strategy", "type"],
		"value": found,
	}
}

deny contains result if {
	some claim in _single_claims
	replicas := object.get(input, ["spec", "replicas"], 1)
	replicas > 1
	result := {
		"msg": sprintf("%s has %d replicas, but its claim %s is for one pod at a time", [
			kubernetes.describe(input),
			replicas,
			claim,
		]),
		"path": ["spec", "replicas"],
		"value": replicas,
	}
}

_single_claims contains claim.metadata.name if {
	input.kind == "Deployment"
	some entry in kubernetes.volumes(input)
	name := entry.volume.persistentVolumeClaim.claimName
	some claim in kubernetes.named("PersistentVolumeClaim", kubernetes.namespace(input), name)
	not _is_shared(claim)
}

_is_shared(claim) if {
	some mode in claim.spec.accessModes
	mode in {"ReadWriteMany", "ReadOnlyMany"}
}
