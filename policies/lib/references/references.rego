# METADATA
# title: What pods refer to by name
# description: |
#   Every ConfigMap and Secret that a workload's pods mount or read, however they do it. Each is
#   {"name": …, "path": …, "keys": …}: the path of the field that holds the name, and, for those keys
#   that are named one by one, {"key": …, "path": …}. That a reference is `optional` is not looked
#   at: what is not there is then missing without a word.
package policies.lib.references

import data.policies.lib.kubernetes

# config_maps(o) and secrets(o) are the references of the workload o.
config_maps(o) := _references(o, "configMap", "name")

secrets(o) := _references(o, "secret", "secretName") | _image_pull_secrets(o)

# content_hash is what kustomize appends to the name of a ConfigMap it generates; its alphabet leaves
# out most vowels, so that no word of a name is taken for a hash.
content_hash := `-[2456789bcdfghkmt]{10}$`

# keys(o) is every key that a ConfigMap or Secret holds.
keys(o) := {key |
	some field in ["data", "binaryData", "stringData"]
	some key, _ in o[field]
}

_references(o, kind, name_field) := union({
	_volumes(o, kind, name_field),
	_projections(o, kind),
	_variables(o, kind),
	_environments(o, kind),
})

_volumes(o, kind, name_field) := {reference |
	some i, volume in kubernetes.pod_spec(o).volumes
	name := volume[kind][name_field]
	path := array.concat(kubernetes.pod_path(o), ["spec", "volumes", i, kind])
	reference := {
		"name": name,
		"path": array.concat(path, [name_field]),
		"keys": _items(volume[kind], path),
	}
}

_projections(o, kind) := {reference |
	some i, volume in kubernetes.pod_spec(o).volumes
	some j, source in volume.projected.sources
	name := source[kind].name
	path := array.concat(kubernetes.pod_path(o), ["spec", "volumes", i, "projected", "sources", j, kind])
	reference := {
		"name": name,
		"path": array.concat(path, ["name"]),
		"keys": _items(source[kind], path),
	}
}

_items(source, path) := {{"key": item.key, "path": array.concat(path, ["items", i, "key"])} |
	some i, item in source.items
}

_variables(o, kind) := {reference |
	field := concat("", [kind, "KeyRef"])
	some entry in kubernetes.containers(o)
	some i, variable in entry.container.env
	source := variable.valueFrom[field]
	path := array.concat(entry.path, ["env", i, "valueFrom", field])
	reference := {
		"name": source.name,
		"path": array.concat(path, ["name"]),
		"keys": {{"key": source.key, "path": array.concat(path, ["key"])}},
	}
}

_environments(o, kind) := {reference |
	field := concat("", [kind, "Ref"])
	some entry in kubernetes.containers(o)
	some i, source in entry.container.envFrom
	name := source[field].name
	reference := {
		"name": name,
		"path": array.concat(entry.path, ["envFrom", i, field, "name"]),
		"keys": set(),
	}
}

_image_pull_secrets(o) := {reference |
	some i, secret in kubernetes.pod_spec(o).imagePullSecrets
	reference := {
		"name": secret.name,
		"path": array.concat(kubernetes.pod_path(o), ["spec", "imagePullSecrets", i, "name"]),
		"keys": set(),
	}
}
