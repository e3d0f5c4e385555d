# METADATA
# title: No Service is of type NodePort
# description: The small policy that the scripts use.
# custom:
#   requirements: [B2]
#   severity: error
#   remediation: Use type ClusterIP.
package policies.services.no_nodeport

deny contains result if {
	input.kind == "Service"
	input.spec.type == "NodePort"
	result := {"msg": sprintf("Service %s is of type NodePort", [input.metadata.name]), "path": ["spec", "type"], "value": input.spec.type}
}
