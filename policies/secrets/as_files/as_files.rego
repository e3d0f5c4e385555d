# METADATA
# title: Secrets reach containers as files
# description: |
#   Environment variables are inherited by every child, shown by debuggers and written into crash
#   reports, and they do not change when the Secret does. So Secrets are mounted: read-only, and with a
#   mode that keeps out everybody but the pod's user and group (the default, 0644, does not).
# related_resources:
#   - https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod
# custom:
#   requirements: [G12]
#   severity: error
#   remediation: |
#     Mount the Secret as a volume with `defaultMode: 0440` and `readOnly: true`, and let the program
#     read the file.
package policies.secrets.as_files

import data.policies.lib.kubernetes

deny contains result if {
	some entry in kubernetes.containers(input)
	some i, variable in entry.container.env
	variable.valueFrom.secretKeyRef
	result := {
		"msg": sprintf("%s gets a Secret as the environment variable %s", [
			kubernetes.describe_container(input, entry),
			object.get(variable, "name", "(no name)"),
		]),
		"path": array.concat(entry.path, ["env", i, "valueFrom", "secretKeyRef"]),
	}
}

deny contains result if {
	some entry in kubernetes.containers(input)
	some i, source in entry.container.envFrom
	source.secretRef
	result := {
		"msg": sprintf("%s gets all of a Secret as environment variables", [kubernetes.describe_container(input, entry)]),
		"path": array.concat(entry.path, ["envFrom", i, "secretRef"]),
	}
}

deny contains result if {
	some entry in _volumes
	some mode in _modes(entry)
	bits.and(mode.value, 7) != 0
	result := {
		"msg": sprintf("the Secret volume %s of %s is open to every user (mode %s)", [
			object.get(entry.volume, "name", "(no name)"),
			kubernetes.describe(input),
			format_int(mode.value, 8),
		]),
		"path": array.concat(entry.path, mode.path),
		"value": mode.value,
	}
}

deny contains result if {
	some entry in _volumes
	some use in kubernetes.mounts(input, entry.volume.name)
	found := object.get(use.mount, "readOnly", false)
	found != true
	result := {
		"msg": sprintf("%s does not mount the Secret volume %s read-only", [
			kubernetes.describe_container(input, use.holder),
			entry.volume.name,
		]),
		"path": array.concat(use.path, ["readOnly"]),
		"value": found,
	}
}

_volumes contains entry if {
	some entry in kubernetes.volumes(input)
	entry.volume.secret
}

_volumes contains entry if {
	some entry in kubernetes.volumes(input)
	some source in entry.volume.projected.sources
	source.secret
}

# Every mode that a Secret's files get: the volume's, 0644 unless it says otherwise, and those of
# single files.
_modes(entry) := union({_volume_modes(entry.volume), _item_modes(entry.volume), _projected_item_modes(entry.volume)})

_volume_modes(volume) := {mode |
	some field in ["secret", "projected"]
	mode := {
		"value": object.get(volume[field], "defaultMode", 420),
		"path": [field, "defaultMode"],
	}
}

_item_modes(volume) := {{"value": item.mode, "path": ["secret", "items", i, "mode"]} |
	some i, item in volume.secret.items
}

_projected_item_modes(volume) := {{"value": item.mode, "path": ["projected", "sources", i, "secret", "items", j, "mode"]} |
	some i, source in volume.projected.sources
	some j, item in source.secret.items
}
