# METADATA
# title: Every container states what it needs
# description: |
#   The scheduler places a pod by the requests of its containers, and a container without a memory
#   limit can take the node down with it. Init containers count too: a pod needs what its hungriest
#   one does. There is no CPU limit, for CPU that is idle may be used by all. Ephemeral containers
#   cannot state anything.
# related_resources:
#   - https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
# custom:
#   requirements: [B5]
#   severity: error
#   remediation: |
#     Set `resources.requests.cpu`, `resources.requests.memory` and `resources.limits.memory`, none of
#     them zero and no request above its limit.
package policies.workloads.resources

import data.policies.lib.kubernetes

_needed := {["requests", "cpu"], ["requests", "memory"], ["limits", "memory"]}

deny contains result if {
	some entry in _containers
	some field in _needed
	_amount(entry.container, field) <= 0
	result := {
		"msg": sprintf("%s does not state its %s", [kubernetes.describe_container(input, entry), concat(".", field)]),
		"path": array.concat(entry.path, array.concat(["resources"], field)),
		"value": _stated(entry.container, field),
	}
}

deny contains result if {
	some entry in _containers
	some name, request in entry.container.resources.requests
	limit := entry.container.resources.limits[name]
	_amount(entry.container, ["requests", name]) > _amount(entry.container, ["limits", name])
	result := {
		"msg": sprintf("%s requests more %s (%v) than its limit allows (%v)", [
			kubernetes.describe_container(input, entry),
			name,
			request,
			limit,
		]),
		"path": array.concat(entry.path, ["resources", "requests", name]),
		"value": request,
	}
}

_containers contains entry if {
	some entry in kubernetes.containers(input)
	entry.field != "ephemeralContainers"
}

_amount(container, field) := kubernetes.amount(_stated(container, field))

_stated(container, field) := object.get(container, array.concat(["resources"], field), null)
