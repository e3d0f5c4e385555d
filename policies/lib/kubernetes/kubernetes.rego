# METADATA
# title: Kubernetes objects
# description: |
#   What every policy needs to know of the shape of Kubernetes objects: where a workload keeps its
#   pod, which containers a pod has, and what else is in the overlay. Paths are arrays of keys and
#   indexes from the object's root, so that a finding can be traced to a line of a file.
package policies.lib.kubernetes

# Where each kind of workload keeps its pod.
_pod_paths := {
	"Pod": [],
	"Deployment": ["spec", "template"],
	"StatefulSet": ["spec", "template"],
	"DaemonSet": ["spec", "template"],
	"ReplicaSet": ["spec", "template"],
	"ReplicationController": ["spec", "template"],
	"Job": ["spec", "template"],
	"CronJob": ["spec", "jobTemplate", "spec", "template"],
}

# pod_path(o) is undefined for an object that is no workload.
pod_path(o) := _pod_paths[o.kind]

# pod(o) is the workload's pod: `metadata` and `spec`.
pod(o) := o if pod_path(o) == []

pod(o) := object.get(o, pod_path(o), {}) if count(pod_path(o)) > 0

# pod_spec(o) is the workload's pod spec, empty when it is missing.
pod_spec(o) := object.get(pod(o), "spec", {})

pod_labels(o) := object.get(pod(o), ["metadata", "labels"], {})

# containers(o) is every container of the workload o, init and ephemeral ones included, each as
# {"container": …, "path": …, "field": …}, `field` being the list it stands in.
containers(o) := {entry |
	some field in ["containers", "initContainers", "ephemeralContainers"]
	some i, container in pod_spec(o)[field]
	entry := {
		"container": container,
		"field": field,
		"path": array.concat(pod_path(o), ["spec", field, i]),
	}
}

# serving_containers(o) is every container that runs as long as its pod: the ordinary ones and the
# native sidecars (init containers with `restartPolicy: Always`). A Job's containers end by design,
# so a Job has none.
serving_containers(o) := {entry |
	not o.kind in {"Job", "CronJob"}
	some entry in containers(o)
	_serves(entry)
}

_serves(entry) if entry.field == "containers"

_serves(entry) if {
	entry.field == "initContainers"
	entry.container.restartPolicy == "Always"
}

# service_name(o) is the service that an object belongs to, by its label, empty without one; a
# container's name says nothing of that, for WordPress's web server is an nginx too.
service_name(o) := object.get(o, ["metadata", "labels", "app.kubernetes.io/name"], "")

# workload_service_name(o) is the service that a workload's pods belong to, empty without a label.
workload_service_name(o) := object.get(pod_labels(o), "app.kubernetes.io/name", "")

namespace(o) := object.get(o, ["metadata", "namespace"], "")

# describe(o) is how a message names an object.
describe(o) := sprintf("%s %s", [o.kind, object.get(o, ["metadata", "name"], "(no name)")])

# inventory is every object of the overlay, empty when only one object is at hand (conftest, an
# editor): a policy that needs other objects is then silent.
default inventory := []

inventory := data.inventory

# peers(kind) is every object of that kind in the input's namespace.
peers(kind) := [o |
	some o in inventory
	o.kind == kind
	namespace(o) == namespace(input)
]

# selects(selector, labels): do equality-based labels select?
selects(selector, labels) if {
	every key, value in selector {
		labels[key] == value
	}
}

# label_selector_matches(selector, labels) knows matchLabels and matchExpressions; an empty selector
# matches everything.
label_selector_matches(selector, labels) if {
	selects(object.get(selector, "matchLabels", {}), labels)
	every expression in object.get(selector, "matchExpressions", []) {
		_expression_matches(expression, labels)
	}
}

_expression_matches(e, labels) if {
	e.operator == "In"
	labels[e.key] in e.values
}

_expression_matches(e, labels) if {
	e.operator == "NotIn"
	not _label_in(labels, e)
}

_expression_matches(e, labels) if {
	e.operator == "Exists"
	e.key in object.keys(labels)
}

_expression_matches(e, labels) if {
	e.operator == "DoesNotExist"
	not e.key in object.keys(labels)
}

_label_in(labels, e) if labels[e.key] in e.values
