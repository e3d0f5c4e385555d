# METADATA
# title: Every Secret that a pod needs is declared
# description: |
#   Secrets are not in git, so the overlay cannot show that they exist. Those that something in the
#   cluster makes are declared with their keys (`declared_secrets` in the facts); a pod that refers to
#   any other, or to another key, would wait for ever. A Secret that the overlay has needs no
#   declaration. `optional` is no excuse. The Role of the service that makes them (`made_by`) must
#   name exactly the declared ones, or it could not renew what it has made.
# related_resources:
#   - https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod
# custom:
#   requirements: [B5, G2, G12]
#   severity: error
#   facts: [declared_secrets]
#   remediation: |
#     Correct the name or the key, or let something make the Secret, name it in the Role of the maker
#     and declare it in `declared_secrets` of the facts.
package policies.references.declared_secrets

import data.policies.lib.kubernetes
import data.policies.lib.references

deny contains result if {
	kubernetes.pod_path(input)
	some reference in references.secrets(input)
	count(_key_sets(reference.name)) == 0
	result := {
		"msg": sprintf("%s needs the Secret %s, which nothing makes in its namespace", [
			kubernetes.describe(input),
			reference.name,
		]),
		"path": reference.path,
		"value": reference.name,
	}
}

deny contains result if {
	kubernetes.pod_path(input)
	some reference in references.secrets(input)
	key_sets := _key_sets(reference.name)
	count(key_sets) > 0
	some wanted in reference.keys
	not wanted.key in union(key_sets)
	result := {
		"msg": sprintf("%s needs the key %s, which the Secret %s does not have", [
			kubernetes.describe(input),
			wanted.key,
			reference.name,
		]),
		"path": wanted.path,
		"value": wanted.key,
	}
}

deny contains result if {
	input.kind == "Role"
	some declaration in data.facts.declared_secrets
	declaration.namespace == kubernetes.namespace(input)
	declaration.made_by == kubernetes.service_name(input)
	some i, rule in input.rules
	"secrets" in rule.resources
	named := {name | some name in rule.resourceNames}
	declared := object.keys(declaration.secrets)
	count(named) > 0
	named != declared
	result := {
		"msg": sprintf("%s does not name the declared Secrets: missing %v, too many %v", [
			kubernetes.describe(input),
			sort(declared - named),
			sort(named - declared),
		]),
		"path": ["rules", i, "resourceNames"],
	}
}

# The keys of the Secret as it is declared, and as it stands in the overlay; none if it is nowhere.
_key_sets(name) := {keys | some keys in _declared(name)} | {references.keys(secret) |
	some secret in kubernetes.named("Secret", kubernetes.namespace(input), name)
}

_declared(name) := {{key | some key in secrets[name]} |
	some declaration in data.facts.declared_secrets
	declaration.namespace == kubernetes.namespace(input)
	secrets := declaration.secrets
	name in object.keys(secrets)
}
