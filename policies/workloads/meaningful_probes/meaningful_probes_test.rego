package policies.workloads.meaningful_probes_test

import data.policies.workloads.meaningful_probes

_pod(field, probe) := {"kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", field: probe}]}}

_paths(object) := paths if {
	paths := {array.slice(result.path, 3, 9) | some result in meaningful_probes.deny} with input as object
}

_denied(field, command) if _paths(_pod(field, {"exec": {"command": command}})) == {[field, "exec", "command"]}

_allowed(field, command) if _paths(_pod(field, {"exec": {"command": command}})) == set()

_shell(script) := ["sh", "-c", script]

test_asking_the_server_is_allowed if {
	every field in ["livenessProbe", "readinessProbe", "startupProbe"] {
		_paths(_pod(field, {"httpGet": {"port": "https"}})) == set()
		_paths(_pod(field, {"grpc": {"port": 1}})) == set()
		_allowed(field, ["sh", "/etc/web-config/probe.sh", "alive"])
		_allowed(field, ["mysqladmin", "ping"])
		_allowed(field, _shell("mysqladmin ping && echo ok"))
		_allowed(field, _shell(`[ "$(curl -s http://127.0.0.1)" = ok ]`))
		_allowed(field, _shell(`if curl -sf http://127.0.0.1; then exit 0; fi; exit 1`))
		_allowed(field, ["sh", "-ec", "mysqladmin ping; true"])
		_allowed(field, _shell("curl -s http://127.0.0.1 | grep -q pong"))
	}
}

test_an_open_port_is_denied if {
	every field in ["livenessProbe", "readinessProbe", "startupProbe"] {
		_paths(_pod(field, {"tcpSocket": {"port": 1}})) == {[field, "tcpSocket"]}
	}
}

test_commands_that_cannot_fail_are_denied if {
	every field in ["livenessProbe", "readinessProbe", "startupProbe"] {
		_denied(field, ["true"])
		_denied(field, ["/bin/true"])
		_denied(field, ["echo", "curl"])
		_denied(field, [])
		_denied(field, _shell("true"))
		_denied(field, ["/bin/bash", "-ec", "exit 0"])
		_denied(field, ["busybox", "sh", "-c", ":"])
		_denied(field, _shell("echo ok && exit 0"))
		_denied(field, _shell("sleep 1; uptime"))
	}
}

test_failures_that_are_made_good_are_denied if {
	_denied("livenessProbe", _shell("mysqladmin ping || true"))
	_denied("livenessProbe", _shell("mysqladmin ping || exit 0;"))
	_denied("livenessProbe", _shell("mysqladmin ping || echo sorry"))
	_denied("livenessProbe", _shell("mysqladmin ping; true"))
	_denied("livenessProbe", _shell("mysqladmin ping\nexit 0\n"))
}

test_exec_without_a_command_is_denied if {
	_paths(_pod("livenessProbe", {"exec": {}})) == {["livenessProbe", "exec", "command"]}
}

test_a_hang_is_not_seen_from_outside if {
	_denied("livenessProbe", ["pgrep", "nginx"])
	_denied("livenessProbe", _shell("ps aux | grep [n]ginx"))
	_denied("livenessProbe", _shell("kill -0 $(cat /run/web.pid)"))
	_denied("livenessProbe", _shell("if pidof web; then exit 0; else exit 1; fi"))
	_denied("livenessProbe", ["test", "-f", "/run/ready"])
	_denied("livenessProbe", _shell("[ ! -f /run/stopped ]"))
}

test_a_file_may_say_ready if {
	_allowed("readinessProbe", ["test", "-f", "/run/ready"])
	_allowed("startupProbe", _shell("[ -f /run/started ]"))
}

test_a_hang_must_be_noticed_within_a_minute if {
	_paths(_pod("livenessProbe", {"httpGet": {}, "periodSeconds": 10, "failureThreshold": 5, "timeoutSeconds": 10})) == set()
	_paths(_pod("livenessProbe", {"httpGet": {}, "periodSeconds": 20})) == {["livenessProbe", "failureThreshold"]}
	_paths(_pod("livenessProbe", {"httpGet": {}, "failureThreshold": 7})) == {["livenessProbe", "failureThreshold"]}
	_paths(_pod("readinessProbe", {"httpGet": {}, "failureThreshold": 100})) == set()
}

test_a_start_must_end_some_time if {
	_paths(_pod("startupProbe", {"httpGet": {}, "periodSeconds": 5, "failureThreshold": 120})) == set()
	_paths(_pod("startupProbe", {"httpGet": {}, "periodSeconds": 5, "failureThreshold": 121})) == {["startupProbe", "failureThreshold"]}
}

test_a_liveness_answer_within_the_period if {
	_paths(_pod("livenessProbe", {"httpGet": {}, "periodSeconds": 5, "timeoutSeconds": 6})) == {["livenessProbe", "timeoutSeconds"]}
}

test_sidecars_and_templates_are_looked_at if {
	object := {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": {"initContainers": [{
		"restartPolicy": "Always",
		"livenessProbe": {"tcpSocket": {"port": 1}},
	}]}}}}
	_paths(object) == {["initContainers", 0, "livenessProbe", "tcpSocket"]}
}

test_no_probe_is_not_judged_here if {
	_paths(_pod("livenessProbe", null)) == set()
	_paths({"kind": "Service", "metadata": {"name": "web"}}) == set()
}
