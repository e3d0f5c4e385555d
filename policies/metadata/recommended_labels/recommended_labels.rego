# METADATA
# title: Every object says what it belongs to
# description: |
#   Objects are found, grouped and selected by the labels that Kubernetes recommends. Every object and
#   every pod has a name, a component, what it is part of (`part_of` in the facts) and what manages it;
#   workloads and their pods also have a version. Whether the version is the right one is
#   images/consistent_version.
# related_resources:
#   - https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
# custom:
#   requirements: [B5]
#   severity: error
#   facts: [part_of]
#   remediation: |
#     Set the labels `app.kubernetes.io/{name,component,part-of,managed-by}`, on a workload also
#     `version`, in the kustomization's `labels:` with `includeTemplates: true`.
package policies.metadata.recommended_labels

import data.policies.lib.kubernetes

_everywhere := {
	"app.kubernetes.io/component",
	"app.kubernetes.io/managed-by",
	"app.kubernetes.io/name",
	"app.kubernetes.io/part-of",
}

deny contains result if {
	some place in _places
	stated := {key | some key, value in object.get(input, place.path, {}); not value in {"", null}}
	some key in (place.wanted - stated)
	result := {
		"msg": sprintf("%s has no label %s", [place.of, key]),
		"path": array.concat(place.path, [key]),
	}
}

deny contains result if {
	some place in _places
	part_of := object.get(input, array.concat(place.path, ["app.kubernetes.io/part-of"]), "")
	not part_of in {"", null, data.facts.part_of}
	result := {
		"msg": sprintf("%s is labelled as part of %s, not of %s", [place.of, part_of, data.facts.part_of]),
		"path": array.concat(place.path, ["app.kubernetes.io/part-of"]),
		"value": part_of,
	}
}

_places contains {"of": kubernetes.describe(input), "path": ["metadata", "labels"], "wanted": _everywhere} if {
	not kubernetes.pod_path(input)
}

_places contains {"of": kubernetes.describe(input), "path": ["metadata", "labels"], "wanted": _of_workloads} if {
	kubernetes.pod_path(input)
}

_places contains place if {
	path := kubernetes.pod_path(input)
	path != []
	place := {
		"of": sprintf("the pod of %s", [kubernetes.describe(input)]),
		"path": array.concat(path, ["metadata", "labels"]),
		"wanted": _of_workloads,
	}
}

_of_workloads := _everywhere | {"app.kubernetes.io/version"}
