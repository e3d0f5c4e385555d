# METADATA
# title: No credential is written into a manifest
# description: |
#   A password in a variable, an argument or a configuration file is as public as the repository. Every
#   text of every object is searched for what can only be a credential: private keys, password hashes,
#   access keys, credentials in a URL or in SQL; and for settings, flags and variables that are called
#   like one and have a literal value. What refers to one is fine: a path, `$__file{…}`, `@{…}`,
#   `${…}`, `$(…)`, a variable, nothing. Secrets themselves are secrets/no_secret_data.
# related_resources:
#   - https://kubernetes.io/docs/concepts/security/secrets-good-practices/
# custom:
#   requirements: [G12]
#   severity: error
#   remediation: |
#     Let `credentials` make the value in the cluster, mount it as a file and refer to that file. Change
#     what was written down: it is known.
package policies.secrets.no_literal_credentials

import data.policies.lib.kubernetes

# No finding repeats what it found.

# Forms that nothing but a credential has.
_forms := {
	"a private key": `-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|AGE-SECRET-KEY-1[0-9A-Z]{20}`,
	"a password hash": concat("|", [
		`\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2(?:i|d|id)|scrypt)\$(?:[^\s$:]+\$){0,4}[./A-Za-z0-9+=]{20}`,
		`\$P\$[./A-Za-z0-9]{31}`,
		`\{S?SHA(?:256|512)?\}[A-Za-z0-9+/=]{20}`,
		`\*[0-9A-F]{40}\b`,
	]),
	"an access key": concat("|", [
		`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`,
		`\b(?:gh[opsur]_|github_pat_|glpat-|xox[abprs]-)[A-Za-z0-9_-]{20}`,
		`\bAIza[0-9A-Za-z_-]{35}`,
		`\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8}`,
	]),
	"an Authorization header": `(?i:\bbearer\s+[a-z0-9][a-z0-9._~+-]{19}|authorization["':=\s]+basic\s+[a-z0-9+/]{8})`,
	"credentials in a URL": `(?i:\b[a-z][a-z0-9+.-]*://[^\s/:@"'$<>{}]*:[^\s/@"'$<>{}]+@|\b[\w.-]+:[^\s:@/"'$<>{}()]+@(?:tcp|unix)\()`,
	"a password in SQL": concat("|", [
		`(?i:\bidentified\s+(?:with\s+\w+\s+)?(?:by|as)\s+(?:password\s+)?['"][^'"$%?\n]+['"])`,
		`(?i:\bwith\s+password\s+'[^'$%?\n]+')`,
		`(?i:\bset\s+password\b[^\n;=]*=\s*(?:password\s*\(\s*)?'[^'$%?\n]+')`,
	]),
	"a password of a MySQL client": `\b(?:mysql|mysqladmin|mysqldump|mariadb|mariadb-admin|mariadb-dump)\s(?:[^\n|;&]*\s)?-p[^\s$"'-]`,
}

_any_form := concat("|", [form | some form in _forms])

# What a setting is called that holds a credential; the name ends so.
_called := `[\w.-]*(?:password|passwd|passphrase|secret|token|credential|_pass|_pwd|(?:api|access|auth|encryption|private|secret|signing)[_-]?key)`

_value := `("[^"\n]*"|'[^'\n]*'|[^\s,;"'}]*)`

# Where a file gives a setting its value. Shell and PHP read a variable as $name, so a name after a $
# is one that is set only if a quoted value follows.
_assignments := [
	sprintf(`(?im)(?:^|[\s{,(;&?|"'\[])(%s)["'\]]*[ \t]*(?:=>|:=|=)[ \t]*%s`, [_called, _value]),
	sprintf(`(?im)(?:^[ \t]*(?:-[ \t]+)?|[{,][ \t]*)["']?(%s)["']?[ \t]*:[ \t]*%s`, [_called, _value]),
	sprintf(`(?im)\$(%s)[ \t]*=[ \t]*("[^"\n]*"|'[^'\n]*')`, [_called]),
	`(?im)\bdefine\s*\(\s*["'](\w*(?:password|secret|token|key|salt))["']\s*,\s*("[^"\n]*"|'[^'\n]*')`,
]

_any_setting := sprintf("(?i)%s|define", [_called])

_variable := `(?i)password|passwd|passphrase|secret|token|credential|salt|(?:^|_)(?:pass|pwd)(?:_|$)|(?:^|_)(?:api|access|auth|encryption|master|private|signing)_?key(?:_|$)|^key$`

# Names that speak of a credential without holding one.
_about := `(?i)_(?:algorithm|dir|enabled|file|length|name|namespace|path|prefix|ttl|type|ur[il])$`

# To look through all texts at once takes a moment; few objects have one that is worth a closer look.
deny contains result if {
	regex.match(_any_form, _all_texts)
	some text in _texts
	some what, form in _forms
	regex.match(form, text.value)
	result := {
		"msg": sprintf("%s holds %s", [kubernetes.describe(input), what]),
		"path": text.path,
	}
}

deny contains result if {
	regex.match(_any_setting, _all_texts)
	some text in _texts
	some assignment in _assignments
	some match in regex.find_all_string_submatch_n(assignment, text.value, -1)
	_is_literal(match[2])
	result := {
		"msg": sprintf("%s sets %s to a literal", [kubernetes.describe(input), match[1]]),
		"path": text.path,
	}
}

deny contains result if {
	some entry in kubernetes.containers(input)
	some i, variable in entry.container.env
	regex.match(_variable, variable.name)
	not regex.match(_about, variable.name)
	_is_literal(_plain(variable.value))
	result := {
		"msg": sprintf("%s has a literal in the environment variable %s", [
			kubernetes.describe_container(input, entry),
			variable.name,
		]),
		"path": array.concat(entry.path, ["env", i, "value"]),
	}
}

# A flag and its value as two arguments.
deny contains result if {
	some entry in kubernetes.containers(input)
	some list in ["command", "args"]
	some i, flag in entry.container[list]
	is_string(flag)
	regex.match(sprintf(`(?i)^--?%s$`, [_called]), flag)
	value := entry.container[list][i + 1]
	is_string(value)
	not startswith(value, "-")
	_is_literal(_plain(value))
	result := {
		"msg": sprintf("%s gets a literal by the flag %s", [kubernetes.describe_container(input, entry), flag]),
		"path": array.concat(entry.path, [list, i + 1]),
	}
}

# Every text of the object that is long enough to hide something.
_texts contains {"path": path, "value": _plain(value)} if {
	input.kind != "Secret"
	some path, value
	walk(input, [path, value])
	is_string(value)
	count(value) > 9
}

_all_texts := concat("\n", [text.value | some text in _texts])

# _plain(text) is the text with every reference to something else cut down to a $.
_plain(text) := regex.replace(text, `[@$](?:__\w+)?\{[^}\n]*\}|\$\([^()\n]*\)`, "$$") if {
	some sign in ["$", "@"]
	contains(text, sign)
} else := text

# _is_literal(value): is the value of a setting written out?
_is_literal(value) if {
	bare := trim(value, `"'`)
	not lower(bare) in {"", "auto", "false", "nil", "no", "none", "null", "off", "on", "true", "undefined", "yes"}
	not contains(bare, "$")
	not contains(bare, "(")
	not regex.match("^[/@{\\[<>%*|&=!~`]", bare)
}
