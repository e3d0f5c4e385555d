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

# pod_spec_path(o) is where the workload's pod spec stands.
pod_spec_path(o) := array.concat(pod_path(o), ["spec"])

# setting(o, container, field) is what the container's security context says, or else the pod's; null
# when neither does.
setting(o, container, field) := value if {
	value := object.get(container, ["securityContext", field], null)
	value != null
} else := object.get(pod_spec(o), ["securityContext", field], null)

# amount(quantity) is a Kubernetes quantity (cpu, memory, storage) as a number, -1 when it is none.
default amount(_) := -1

amount(quantity) := units.parse(text) if {
	text := sprintf("%v", [quantity])
	regex.match(`^[0-9]+(\.[0-9]+)?(m|k|[KMGTPE]i?)?$`, text)
}

# volumes(o) is every volume of the workload o, each as {"volume": …, "path": …}.
volumes(o) := {entry |
	some i, volume in pod_spec(o).volumes
	entry := {
		"volume": volume,
		"path": array.concat(pod_spec_path(o), ["volumes", i]),
	}
}

# mounts(o, name) is every mount of the volume of that name, each as {"mount": …, "path": …,
# "holder": …}, `holder` being the container's entry in containers(o).
mounts(o, name) := {entry |
	some holder in containers(o)
	some i, mount in holder.container.volumeMounts
	mount.name == name
	entry := {
		"mount": mount,
		"holder": holder,
		"path": array.concat(holder.path, ["volumeMounts", i]),
	}
}

# service_name(o) is the service that an object belongs to, by its label, empty without one; a
# container's name says nothing of that, for WordPress's web server is an nginx too.
service_name(o) := object.get(o, ["metadata", "labels", "app.kubernetes.io/name"], "")

# workload_service_name(o) is the service that a workload's pods belong to, empty without a label.
workload_service_name(o) := object.get(pod_labels(o), "app.kubernetes.io/name", "")

namespace(o) := object.get(o, ["metadata", "namespace"], "")

# describe(o) is how a message names an object.
describe(o) := sprintf("%s %s", [o.kind, object.get(o, ["metadata", "name"], "(no name)")])

# describe_container(o, entry) is how a message names a container of the workload o.
describe_container(o, entry) := sprintf("container %s of %s", [
	object.get(entry.container, "name", "(no name)"),
	describe(o),
])

# missing(o, path): is nothing at the path? To Kubernetes a field that is null or empty is none.
missing(o, path) if object.get(o, path, null) in {null, "", [], {}}

# inventory is every object of the overlay, empty when only one object is at hand (conftest, an
# editor): a policy that needs other objects is then silent.
default inventory := []

inventory := data.inventory

# peers(kind) is every object of that kind in the input's namespace.
peers(kind) := [o | some o in object.get(_by_kind, [kind, namespace(input)], {})]

# named(kind, ns, name) is every object of that kind, namespace and name; there may be two, of
# different API groups.
named(kind, ns, name) := [o | some o in object.get(_by_name, [kind, ns, name], {})]

# workloads is every workload of the overlay.
workloads := [o | some o in inventory; pod_path(o)]

# selected_by(selector, ns) is every workload of the namespace whose pods the label selector selects.
selected_by(selector, ns) := [o |
	some o in _candidates(selector, ns)
	label_selector_matches(selector, pod_labels(o))
]

# Nearly every selector names the service, which leaves few workloads to compare.
_candidates(selector, ns) := object.get(_workloads_by_service, [ns, service], {}) if {
	service := selector.matchLabels["app.kubernetes.io/name"]
} else := object.get(_workloads_by_namespace, ns, {})

# The inventory by what is looked for. An object is looked for once for every other one, so a search
# through all of them would take as long as the square of their number.
_by_kind[o.kind][namespace(o)][i] := o if some i, o in inventory

_by_name[o.kind][namespace(o)][o.metadata.name][i] := o if some i, o in inventory

_workloads_by_namespace[namespace(o)][i] := o if some i, o in workloads

_workloads_by_service[namespace(o)][pod_labels(o)["app.kubernetes.io/name"]][i] := o if some i, o in workloads

# selected_by_service(service) is every workload that the Service leads to; without a selector, none.
selected_by_service(service) := [o |
	not missing(service, ["spec", "selector"])
	some o in selected_by({"matchLabels": service.spec.selector}, namespace(service))
]

# load_balancers is every LoadBalancer Service of the overlay.
load_balancers := [o | some o in inventory; o.kind == "Service"; o.spec.type == "LoadBalancer"]

# protocol(port) is the protocol of any kind of port: a Service's, a container's, a policy's.
protocol(port) := object.get(port, "protocol", "TCP")

# container_ports(o) is every port that the workload's pods keep open.
container_ports(o) := {port |
	some entry in serving_containers(o)
	some port in entry.container.ports
}

# target_ports(port, o) is every container port of the workload that the Service's port leads to.
target_ports(port, o) := {container_port |
	target := object.get(port, "targetPort", port.port)
	some container_port in container_ports(o)
	protocol(container_port) == protocol(port)
	target in {object.get(container_port, "name", ""), container_port.containerPort}
}

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
