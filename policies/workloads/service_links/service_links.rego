# METADATA
# title: Pods get no service links
# description: |
#   Unless told not to, the cluster writes the address of every Service of the namespace into the
#   environment of every container. What a program finds there depends on the order in which things
#   were made, and a variable like GRAFANA_PORT may be taken for a setting. Names belong to DNS.
# related_resources:
#   - https://kubernetes.io/docs/tutorials/services/connect-applications-service/#accessing-the-service
# custom:
#   requirements: [B1]
#   severity: error
#   remediation: |
#     Set `enableServiceLinks: false` in the pod spec.
package policies.workloads.service_links

import data.policies.lib.kubernetes

deny contains result if {
	kubernetes.pod_path(input)
	found := object.get(kubernetes.pod_spec(input), "enableServiceLinks", null)
	found != false
	result := {
		"msg": sprintf("%s gets the addresses of all Services as environment variables", [kubernetes.describe(input)]),
		"path": array.concat(kubernetes.pod_spec_path(input), ["enableServiceLinks"]),
		"value": found,
	}
}
