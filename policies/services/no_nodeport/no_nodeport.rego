# METADATA
# title: No node port is opened
# description: |
#   The load balancer's address is the only way in. A node port, however it comes about, opens the
#   same door a second time on every node: by the Service's type, by an explicit number, by what a
#   LoadBalancer Service allocates unless it is told not to, by the health check of
#   `externalTrafficPolicy: Local`, and by a pod that takes the host's ports or network.
# related_resources:
#   - https://kubernetes.io/docs/concepts/services-networking/service/#load-balancer-nodeport-allocation
# custom:
#   requirements: [B2, R6]
#   severity: error
#   remediation: |
#     Use `type: ClusterIP` for what stays inside; for the outside `type: LoadBalancer` with
#     `allocateLoadBalancerNodePorts: false` and `externalTrafficPolicy: Cluster`. Remove `nodePort`,
#     `healthCheckNodePort`, `hostPort` and `hostNetwork`.
package policies.services.no_nodeport

import data.policies.lib.kubernetes

deny contains result if {
	input.kind == "Service"
	input.spec.type == "NodePort"
	result := {
		"msg": sprintf("%s is of type NodePort", [kubernetes.describe(input)]),
		"path": ["spec", "type"],
		"value": "NodePort",
	}
}

deny contains result if {
	input.kind == "Service"
	some i, port in input.spec.ports
	port.nodePort
	result := {
		"msg": sprintf("%s asks for node port %v", [kubernetes.describe(input), port.nodePort]),
		"path": ["spec", "ports", i, "nodePort"],
		"value": port.nodePort,
	}
}

deny contains result if {
	input.kind == "Service"
	input.spec.type == "LoadBalancer"
	not _allocates_none
	result := {
		"msg": sprintf("%s is a LoadBalancer that also allocates node ports", [kubernetes.describe(input)]),
		"path": ["spec", "allocateLoadBalancerNodePorts"],
		"value": object.get(input.spec, "allocateLoadBalancerNodePorts", null),
	}
}

deny contains result if {
	input.kind == "Service"
	port := input.spec.healthCheckNodePort
	port != 0
	result := {
		"msg": sprintf("%s asks for health check node port %v", [kubernetes.describe(input), port]),
		"path": ["spec", "healthCheckNodePort"],
		"value": port,
	}
}

deny contains result if {
	input.kind == "Service"
	input.spec.type == "LoadBalancer"
	input.spec.externalTrafficPolicy == "Local"
	result := {
		"msg": sprintf("%s gets a health check node port by externalTrafficPolicy: Local", [kubernetes.describe(input)]),
		"path": ["spec", "externalTrafficPolicy"],
		"value": "Local",
	}
}

deny contains result if {
	some entry in kubernetes.containers(input)
	some i, port in entry.container.ports
	object.get(port, "hostPort", 0) != 0
	result := {
		"msg": sprintf("%s takes port %v of the host", [kubernetes.describe_container(input, entry), port.hostPort]),
		"path": array.concat(entry.path, ["ports", i, "hostPort"]),
		"value": port.hostPort,
	}
}

deny contains result if {
	kubernetes.pod_spec(input).hostNetwork == true
	result := {
		"msg": sprintf("%s runs in the host's network", [kubernetes.describe(input)]),
		"path": array.concat(kubernetes.pod_path(input), ["spec", "hostNetwork"]),
		"value": true,
	}
}

_allocates_none if input.spec.allocateLoadBalancerNodePorts == false
