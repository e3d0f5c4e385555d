# METADATA
# title: What a pod needs is in the overlay
# description: |
#   Every ConfigMap, PersistentVolumeClaim and ServiceAccount that a pod refers to must be an object of
#   the overlay in the pod's namespace, and a ConfigMap must have the keys that are named one by one;
#   otherwise the pod waits for ever. What the cluster itself puts into every namespace is excepted;
#   `optional` is no excuse. Secrets are references/declared_secrets.
# related_resources:
#   - https://kubernetes.io/docs/concepts/configuration/configmap/#using-configmaps-as-files-from-a-pod
# custom:
#   requirements: [B5, G2]
#   severity: error
#   remediation: |
#     Add the object to the overlay, or correct the name or the key; a generated ConfigMap is referred
#     to by its name without the hash, in the same kustomization.
package policies.references.objects_exist

import data.policies.lib.kubernetes
import data.policies.lib.references

deny contains result if {
	kubernetes.pod_path(input)
	kubernetes.inventory != []
	some reference in references.config_maps(input)
	not _is_there("ConfigMap", reference.name)
	result := _missing("ConfigMap", reference.name, reference.path)
}

deny contains result if {
	kubernetes.pod_path(input)
	some reference in references.config_maps(input)
	some config in kubernetes.named("ConfigMap", kubernetes.namespace(input), reference.name)
	some wanted in reference.keys
	not wanted.key in references.keys(config)
	result := {
		"msg": sprintf("%s needs the key %s, which the ConfigMap %s does not have", [
			kubernetes.describe(input),
			wanted.key,
			reference.name,
		]),
		"path": wanted.path,
		"value": wanted.key,
	}
}

deny contains result if {
	kubernetes.inventory != []
	some i, volume in kubernetes.pod_spec(input).volumes
	name := volume.persistentVolumeClaim.claimName
	not _is_there("PersistentVolumeClaim", name)
	path := array.concat(kubernetes.pod_path(input), ["spec", "volumes", i, "persistentVolumeClaim", "claimName"])
	result := _missing("PersistentVolumeClaim", name, path)
}

deny contains result if {
	kubernetes.inventory != []
	some field in ["serviceAccountName", "serviceAccount"]
	name := kubernetes.pod_spec(input)[field]
	not _is_there("ServiceAccount", name)
	result := _missing("ServiceAccount", name, array.concat(kubernetes.pod_path(input), ["spec", field]))
}

_missing(kind, name, path) := {
	"msg": sprintf("%s needs the %s %s, which its namespace does not have", [kubernetes.describe(input), kind, name]),
	"path": path,
	"value": name,
}

_is_there(kind, name) if count(kubernetes.named(kind, kubernetes.namespace(input), name)) > 0

# These the cluster makes in every namespace.
_is_there("ConfigMap", "kube-root-ca.crt")

_is_there("ServiceAccount", "default")
