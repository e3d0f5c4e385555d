# METADATA
# title: Services have the type that is agreed
# description: |
#   Which Service is reached from outside is agreed in one table (`service_types` in the facts); every
#   Service that is not in it stays inside the cluster, so a second Service of a public workload is no
#   second way in. Without the table any type is right. A workload that bears the name of a Service in the table has that Service.
#   ExternalName and `externalIPs` are ways past the load balancer and are never right.
# related_resources:
#   - https://kubernetes.io/docs/concepts/services-networking/service/#publishing-services-service-types
#   - https://kubernetes.io/docs/concepts/services-networking/service/#external-ips
# custom:
#   requirements: [R5, R4, B3, G10]
#   severity: error
#   remediation: |
#     Give the Service the type that `service_types` of the facts agrees on, `ClusterIP` if it is not
#     named there, and remove `externalIPs`.
package policies.services.service_types

import data.policies.lib.kubernetes

deny contains result if {
	input.kind == "Service"
	data.facts.service_types
	type := object.get(input, ["spec", "type"], "ClusterIP")
	type != _agreed
	result := {
		"msg": sprintf("%s is of type %s, but %s is agreed", [kubernetes.describe(input), type, _agreed]),
		"path": ["spec", "type"],
		"value": type,
	}
}

deny contains result if {
	input.kind == "Service"
	not kubernetes.missing(input, ["spec", "externalIPs"])
	result := {
		"msg": sprintf("%s takes traffic for %s on every node", [
			kubernetes.describe(input),
			concat(", ", input.spec.externalIPs),
		]),
		"path": ["spec", "externalIPs"],
		"value": input.spec.externalIPs,
	}
}

deny contains result if {
	kubernetes.pod_path(input)
	kubernetes.inventory != []
	some name, type in data.facts.service_types
	input.metadata.name == name
	count(kubernetes.named("Service", kubernetes.namespace(input), name)) == 0
	result := {
		"msg": sprintf("%s has no Service %s of type %s", [kubernetes.describe(input), name, type]),
		"path": ["metadata", "name"],
		"value": name,
	}
}

default _agreed := "ClusterIP"

_agreed := data.facts.service_types[input.metadata.name]
