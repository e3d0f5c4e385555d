# METADATA
# title: Selectors select what they are meant to
# description: |
#   A selector that matches nothing is no error for the cluster: the Service just has no endpoint, the
#   NetworkPolicy protects nobody. Every selector must match pods of the overlay, and a workload's own
#   must match its template. Selectors hold nothing but the labels that never change
#   (`selector_labels` in the facts), because a Deployment's selector cannot be changed. Peers of a
#   NetworkPolicy that are in another namespace may be outside the overlay and are not asked.
# related_resources:
#   - https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
# custom:
#   requirements: [B5]
#   severity: error
#   remediation: |
#     Make the selector and the labels of the pods the same; select by `app.kubernetes.io/name`, and
#     by `app.kubernetes.io/component` if the service has several workloads.
package policies.references.selectors

import data.policies.lib.kubernetes
import data.policies.lib.network

deny contains result if {
	input.kind == "Service"
	kubernetes.missing(input, ["spec", "selector"])
	object.get(input, ["spec", "type"], "ClusterIP") != "ExternalName"
	result := {
		"msg": sprintf("%s selects no pods", [kubernetes.describe(input)]),
		"path": ["spec", "selector"],
	}
}

deny contains result if {
	input.kind in _workload_kinds
	not _selects_its_own
	result := {
		"msg": sprintf("the selector of %s does not match the labels of its own pods", [kubernetes.describe(input)]),
		"path": ["spec", "selector"],
		"value": object.get(input, ["spec", "selector"], null),
	}
}

deny contains result if {
	not input.kind in _workload_kinds
	kubernetes.inventory != []
	some entry in _selectors
	not network.is_empty(entry.selector)
	kubernetes.selected_by(entry.selector, kubernetes.namespace(input)) == []
	result := {
		"msg": sprintf("%s selects pods that the namespace %s does not have", [
			kubernetes.describe(input),
			kubernetes.namespace(input),
		]),
		"path": entry.path,
		"value": entry.selector,
	}
}

deny contains result if {
	stable := data.facts.selector_labels
	some entry in _selectors
	some label in _labels(entry.selector)
	not label in stable
	result := {
		"msg": sprintf("%s selects by the label %s", [kubernetes.describe(input), label]),
		"path": entry.path,
		"value": label,
	}
}

_workload_kinds := {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"}

# An empty selector matches, but selects everything.
_selects_its_own if {
	selector := input.spec.selector
	not network.is_empty(selector)
	kubernetes.label_selector_matches(selector, kubernetes.pod_labels(input))
}

# Every selector of the input that means pods of its own namespace, as a label selector.
_selectors contains {"selector": {"matchLabels": input.spec.selector}, "path": ["spec", "selector"]} if {
	input.kind == "Service"
}

_selectors contains {"selector": input.spec.selector, "path": ["spec", "selector"]} if {
	input.kind in {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "PodDisruptionBudget"}
}

_selectors contains {"selector": input.spec.podSelector, "path": ["spec", "podSelector"]} if {
	input.kind == "NetworkPolicy"
}

_selectors contains {"selector": peer.podSelector, "path": ["spec", fields.rules, i, fields.peers, j, "podSelector"]} if {
	input.kind == "NetworkPolicy"
	some fields in network.directions
	some i, rule in input.spec[fields.rules]
	some j, peer in rule[fields.peers]
	not peer.namespaceSelector
}

_labels(selector) := object.keys(object.get(selector, "matchLabels", {})) | {expression.key | some expression in selector.matchExpressions}
