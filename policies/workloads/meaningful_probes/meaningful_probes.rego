# METADATA
# title: Probes prove something, and soon enough
# description: |
#   A probe that can only succeed is worse than none: it looks like a promise. An open port says
#   nothing, for the kernel accepts connections on behalf of a server that hangs; so does a command
#   that cannot fail. A liveness probe must also notice a hang, which a look at the process table or
#   at a file does not, and must notice it within a minute; a startup probe must give up some time.
#   Whether there is a probe at all is another policy's question.
# related_resources:
#   - https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
# custom:
#   requirements: [B4, R13]
#   severity: error
#   remediation: |
#     Let the probe use the service as its clients do: a page by `httpGet`, a query or a greeting by
#     `exec`. Keep `periodSeconds` × `failureThreshold` + `timeoutSeconds` of a liveness probe within
#     60 seconds, `timeoutSeconds` within `periodSeconds`, and `periodSeconds` × `failureThreshold` of
#     a startup probe within 600 seconds.
package policies.workloads.meaningful_probes

import data.policies.lib.kubernetes

# Seconds until a container that hangs is restarted, or one that never starts.
_longest := {"livenessProbe": 60, "startupProbe": 600}

# Programs that succeed whatever the server does.
_idle_programs := {
	"", ":", "date", "echo", "env", "exit", "hostname", "id", "printf", "pwd", "set", "sleep", "touch", "true", "uname",
	"uptime", "whoami",
}

# Programs that see a file or a process, which outlive a hang. A server may well say by a file that it
# has started or is ready.
_watching_programs := {
	"[", "[[", "cat", "grep", "kill", "killall", "ls", "pgrep", "pidof", "pkill", "ps", "stat", "test", "wc",
}

_shells := {"ash", "bash", "busybox", "dash", "ksh", "sh", "zsh"}

deny contains result if {
	some probe in _probes
	probe.spec.tcpSocket
	result := {
		"msg": sprintf("the %s of %s only looks whether a port is open", [probe.field, probe.of]),
		"path": array.concat(probe.path, ["tcpSocket"]),
		"value": probe.spec.tcpSocket,
	}
}

deny contains result if {
	some probe in _probes
	command := _command(probe.spec)
	_proves_nothing(probe.field, command)
	result := {
		"msg": sprintf("the %s of %s proves nothing of the server: %s", [probe.field, probe.of, concat(" ", command)]),
		"path": array.concat(probe.path, ["exec", "command"]),
		"value": command,
	}
}

deny contains result if {
	some probe in _probes
	longest := _longest[probe.field]
	seconds := _seconds(probe)
	seconds > longest
	result := {
		"msg": sprintf("the %s of %s takes up to %v s to fail, more than %d s", [probe.field, probe.of, seconds, longest]),
		"path": array.concat(probe.path, ["failureThreshold"]),
		"value": _failures(probe.spec),
	}
}

# An answer that takes longer than the period delays the next question.
deny contains result if {
	some probe in _probes
	probe.field == "livenessProbe"
	_timeout(probe.spec) > _period(probe.spec)
	result := {
		"msg": sprintf("the livenessProbe of %s waits %v s for an answer, longer than its period of %v s", [
			probe.of,
			_timeout(probe.spec),
			_period(probe.spec),
		]),
		"path": array.concat(probe.path, ["timeoutSeconds"]),
		"value": _timeout(probe.spec),
	}
}

_probes contains probe if {
	some entry in kubernetes.containers(input)
	some field in ["livenessProbe", "readinessProbe", "startupProbe"]
	spec := entry.container[field]
	is_object(spec)
	probe := {
		"spec": spec,
		"field": field,
		"path": array.concat(entry.path, [field]),
		"of": kubernetes.describe_container(input, entry),
	}
}

# The kubelet's own defaults.
_period(spec) := object.get(spec, "periodSeconds", 10)

_timeout(spec) := object.get(spec, "timeoutSeconds", 1)

_failures(spec) := object.get(spec, "failureThreshold", 3)

_seconds(probe) := (_period(probe.spec) * _failures(probe.spec)) + _timeout(probe.spec) if probe.field == "livenessProbe"

_seconds(probe) := _period(probe.spec) * _failures(probe.spec) if probe.field == "startupProbe"

_command(spec) := [word | some word in object.get(spec, ["exec", "command"], []); is_string(word)] if spec.exec

# _script(command) is what `sh -c` is given; undefined for any other command.
_script(command) := command[count(command) - 1] if {
	_program(command[0]) in _shells
	count(command) > 2
	regex.match(`^-[a-z]*c$`, command[count(command) - 2])
}

_proves_nothing(_, []) := true

_proves_nothing(field, command) if {
	not _script(command)
	_is_idle(field, _program(command[0]))
}

_proves_nothing(field, command) if {
	script := _script(command)
	every program in _programs(script) {
		_is_idle(field, program)
	}
}

# What comes after `||` makes good any failure, and so does the last command after a `;`, unless the
# shell stops at errors.
_proves_nothing(_, command) if regex.match(`\|\|\s*(true|:|exit 0|echo\b[^;&|]*)\s*;?\s*$`, _script(command))

_proves_nothing(_, command) if {
	script := _script(command)
	regex.match(`[;\n]\s*(true|:|exit 0)\s*;?\s*$`, script)
	not regex.match(`\b(set\s+-[a-z]*e|exit [1-9]|return [1-9])`, script)
	not _stops_at_errors(command)
}

_stops_at_errors(command) if regex.match(`^-[a-z]*e[a-z]*c$`, command[count(command) - 2])

_is_idle(_, program) if program in _idle_programs

_is_idle("livenessProbe", program) if program in _watching_programs

# The programs that a script starts, those in a substitution too.
_programs(script) := {_program(word) |
	some part in regex.split("&&|[;|&\\n`(){}]", script)
	word := _first_word(part)
}

# Shell keywords and assignments before a program are no program.
_first_word(part) := word if {
	words := regex.split(`\s+`, trim_space(part))
	i := min({i |
		some i, word in words
		not regex.match(`^(!|if|then|else|elif|fi|while|until|do|done|exec|command|[A-Za-z_]+=.*)$`, word)
	})
	word := words[i]
}

_program(word) := regex.replace(trim(word, `"'`), `^.*/`, "")
