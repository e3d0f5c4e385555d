# METADATA
# title: Nothing is published by Ingress or Gateway
# description: |
#   The load balancer is the only way in. An Ingress, and the Gateway API after it, is a second one
#   whose rules no other policy reads.
# related_resources:
#   - https://kubernetes.io/docs/concepts/services-networking/ingress/
#   - https://gateway-api.sigs.k8s.io/
# custom:
#   requirements: [R6, R4]
#   severity: error
#   generic: false
#   remediation: |
#     Remove the object and publish the service by a Service of type LoadBalancer.
package policies.services.no_ingress

import data.policies.lib.kubernetes

deny contains result if {
	input.kind in {"Ingress", "IngressClass"}
	result := {
		"msg": sprintf("%s is a way in beside the load balancer", [kubernetes.describe(input)]),
		"path": ["kind"],
		"value": input.kind,
	}
}

# The group has stable, and under x-k8s.io experimental, kinds; none of them is wanted.
deny contains result if {
	some group in ["gateway.networking.k8s.io/", "gateway.networking.x-k8s.io/"]
	startswith(input.apiVersion, group)
	result := {
		"msg": sprintf("%s of the Gateway API is a way in beside the load balancer", [kubernetes.describe(input)]),
		"path": ["apiVersion"],
		"value": input.apiVersion,
	}
}
