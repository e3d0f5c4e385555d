# METADATA
# title: Pods read ConfigMaps that carry their hash
# description: |
#   A pod does not restart when its ConfigMap changes. A ConfigMap that kustomize generates has the
#   hash of its content in its name, so a change of the file is a change of the pod and is rolled out,
#   and a rollback finds the old content.
# related_resources:
#   - https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/configmapgenerator/
# custom:
#   requirements: [B5]
#   severity: error
#   remediation: |
#     Let `configMapGenerator` make the ConfigMap from the file, without `disableNameSuffixHash`.
package policies.references.hashed_config

import data.policies.lib.kubernetes
import data.policies.lib.references

deny contains result if {
	kubernetes.pod_path(input)
	some reference in references.config_maps(input)
	reference.name != "kube-root-ca.crt" # the cluster's own, in every namespace
	not regex.match(references.content_hash, reference.name)
	result := {
		"msg": sprintf("%s reads the ConfigMap %s, whose name does not change with its content", [
			kubernetes.describe(input),
			reference.name,
		]),
		"path": reference.path,
		"value": reference.name,
	}
}
