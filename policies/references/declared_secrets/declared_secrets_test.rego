package policies.references.declared_secrets_test

import data.policies.references.declared_secrets

_facts := {"declared_secrets": [{
	"namespace": "apps",
	"made_by": "maker",
	"secrets": {"password": ["username", "password"], "salt": ["salt"]},
}]}

_pod(namespace, spec) := {"kind": "Deployment", "metadata": {"name": "web", "namespace": namespace}, "spec": {"template": {"spec": spec}}}

_paths_in(namespace, spec) := paths if {
	paths := {result.path | some result in declared_secrets.deny} with input as _pod(namespace, spec)
		with data.inventory as [{"kind": "Secret", "metadata": {"name": "token", "namespace": "apps"}, "stringData": {"token": "x"}}]
		with data.facts as _facts
}

_paths(spec) := _paths_in("apps", spec)

_volume(source) := {"volumes": [{"name": "a", "secret": source}]}

_path(tail) := array.concat(["spec", "template", "spec", "volumes", 0, "secret"], tail)

test_declared_secrets_are_allowed if {
	_paths(_volume({"secretName": "password"})) == set()
	_paths(_volume({"secretName": "password", "items": [{"key": "username", "path": "u"}]})) == set()
	_paths({"containers": [{"name": "web", "env": [{"name": "A", "value": "a"}]}]}) == set()
}

test_secrets_of_the_overlay_are_allowed if {
	_paths(_volume({"secretName": "token", "items": [{"key": "token", "path": "t"}]})) == set()
	_paths(_volume({"secretName": "token", "items": [{"key": "other", "path": "t"}]})) == {_path(["items", 0, "key"])}
}

test_others_are_denied if {
	_paths(_volume({"secretName": "other"})) == {_path(["secretName"])}
	_paths({"imagePullSecrets": [{"name": "other"}]}) == {["spec", "template", "spec", "imagePullSecrets", 0, "name"]}
	_paths({"containers": [{"name": "web", "envFrom": [{"secretRef": {"name": "other"}}]}]}) == {["spec", "template", "spec", "containers", 0, "envFrom", 0, "secretRef", "name"]}
}

test_optional_is_no_excuse if {
	_paths(_volume({"secretName": "other", "optional": true})) == {_path(["secretName"])}
}

test_other_namespaces_are_denied if {
	_paths_in("elsewhere", _volume({"secretName": "password"})) == {_path(["secretName"])}
}

test_other_keys_are_denied if {
	_paths(_volume({"secretName": "password", "items": [{"key": "salt", "path": "s"}]})) == {_path(["items", 0, "key"])}
}

test_without_facts_all_are_denied if {
	results := declared_secrets.deny with input as _pod("apps", _volume({"secretName": "password"})) with data.facts as {}
	count(results) == 1
}

_role_paths(service, names) := paths if {
	role := {
		"kind": "Role",
		"metadata": {"name": service, "namespace": "apps", "labels": {"app.kubernetes.io/name": service}},
		"rules": [
			{"resources": ["secrets"], "verbs": ["create"]},
			{"resources": ["secrets"], "verbs": ["get"], "resourceNames": names},
		],
	}
	paths := {result.path | some result in declared_secrets.deny} with input as role with data.facts as _facts
}

test_the_maker_names_what_is_declared if {
	_role_paths("maker", ["password", "salt"]) == set()
	_role_paths("maker", ["password"]) == {["rules", 1, "resourceNames"]}
	_role_paths("maker", ["password", "salt", "other"]) == {["rules", 1, "resourceNames"]}
	_role_paths("reader", ["password"]) == set()
}
