package policies.workloads.pod_security_test

import data.policies.workloads.pod_security

_container := {"name": "web", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}

_sound := {"kind": "Pod", "metadata": {"name": "web"}, "spec": {
	"securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
	"containers": [_container],
}}

_paths(object) := paths if {
	paths := {concat("/", [sprintf("%v", [key]) | some key in result.path]) | some result in pod_security.deny} with input as object
}

_with(path, value) := json.patch(_sound, [{"op": "add", "path": path, "value": value}])

_without(path) := json.remove(_sound, [path])

# _denied_at(path, value): once the value stands there, that very place is named.
_denied_at(path, value) if _paths(_with(concat("/", ["", path]), value)) == {path}

test_sound_is_allowed if {
	_paths(_sound) == set()
	_paths({"kind": "Service", "metadata": {"name": "web"}}) == set()
}

test_every_list_of_containers_is_looked_at if {
	every field in ["initContainers", "ephemeralContainers"] {
		object := _with(sprintf("/spec/%s", [field]), [{"name": "other"}])
		_paths(object) == {
			sprintf("spec/%s/0/securityContext/allowPrivilegeEscalation", [field]),
			sprintf("spec/%s/0/securityContext/capabilities/drop", [field]),
		}
	}
}

test_templates_are_looked_at if {
	object := {"kind": "CronJob", "metadata": {"name": "web"}, "spec": {"jobTemplate": {"spec": {"template": _without("/spec/securityContext/seccompProfile")}}}}
	_paths(object) == {"spec/jobTemplate/spec/template/spec/securityContext/seccompProfile"}
}

test_no_context_at_all_is_denied if {
	every object in [_without("/spec/securityContext"), _with("/spec/securityContext", null), _with("/spec/securityContext", {})] {
		_paths(object) == {"spec/securityContext/runAsNonRoot", "spec/securityContext/seccompProfile"}
	}
	every object in [_without("/spec/containers/0/securityContext"), _with("/spec/containers/0/securityContext", null)] {
		_paths(object) == {
			"spec/containers/0/securityContext/allowPrivilegeEscalation",
			"spec/containers/0/securityContext/capabilities/drop",
		}
	}
}

test_the_containers_may_say_it_themselves if {
	context := object.union(_container.securityContext, {"runAsNonRoot": true, "seccompProfile": {"type": "Localhost"}})
	_paths(json.remove(_with("/spec/containers/0/securityContext", context), ["/spec/securityContext"])) == set()
}

test_root_is_denied if {
	every where in ["spec", "spec/containers/0"] {
		_denied_at(concat("/", [where, "securityContext/runAsNonRoot"]), false)
		_denied_at(concat("/", [where, "securityContext/runAsUser"]), 0)
	}
}

test_seccomp_profiles if {
	every where in ["spec", "spec/containers/0"] {
		path := sprintf("/%s/securityContext/seccompProfile", [where])
		_paths(_with(path, {"type": "Localhost", "localhostProfile": "web.json"})) == set()
		_paths(_with(path, {"type": "Unconfined"})) == {sprintf("%s/type", [trim_prefix(path, "/")])}
		_paths(_with(path, {})) == {sprintf("%s/type", [trim_prefix(path, "/")])}
	}
}

test_apparmor_profiles if {
	every where in ["spec", "spec/containers/0"] {
		path := sprintf("/%s/securityContext/appArmorProfile", [where])
		_paths(_with(path, {"type": "Localhost"})) == set()
		_paths(_with(path, {"type": "Unconfined"})) == {sprintf("%s/type", [trim_prefix(path, "/")])}
	}
}

test_apparmor_annotations if {
	key := "container.apparmor.security.beta.kubernetes.io/web"
	_paths(_with("/metadata/annotations", {key: "runtime/default"})) == set()
	_paths(_with("/metadata/annotations", {key: "unconfined"})) == {concat("/", ["metadata/annotations", key])}
}

test_selinux if {
	_paths(_with("/spec/securityContext/seLinuxOptions", {"type": "container_t", "level": "s0:c1"})) == set()
	_paths(_with("/spec/securityContext/seLinuxOptions", {"type": "spc_t"})) == {"spec/securityContext/seLinuxOptions/type"}
	_paths(_with("/spec/containers/0/securityContext/seLinuxOptions", {"user": "root", "role": "admin"})) == {
		"spec/containers/0/securityContext/seLinuxOptions/user",
		"spec/containers/0/securityContext/seLinuxOptions/role",
	}
}

test_privileges_are_denied if {
	_denied_at("spec/containers/0/securityContext/privileged", true)
	_denied_at("spec/containers/0/securityContext/allowPrivilegeEscalation", true)
	_denied_at("spec/containers/0/securityContext/procMount", "Unmasked")
	_paths(_with("/spec/containers/0/securityContext/procMount", "Default")) == set()
	_paths(_with("/spec/containers/0/securityContext/windowsOptions", {"hostProcess": true})) == {"spec/containers/0/securityContext/windowsOptions/hostProcess"}
}

test_capabilities if {
	_denied_at("spec/containers/0/securityContext/capabilities/drop", ["NET_RAW"])
	_denied_at("spec/containers/0/securityContext/capabilities/drop", null)
	_paths(_with("/spec/containers/0/securityContext/capabilities/add", [])) == set()
	_paths(_with("/spec/containers/0/securityContext/capabilities/add", ["NET_BIND_SERVICE"])) == {"spec/containers/0/securityContext/capabilities/add/0"}
}

test_namespaces_of_the_host_are_denied if {
	_denied_at("spec/hostPID", true)
	_denied_at("spec/hostIPC", true)
	_paths(_with("/spec/hostPID", false)) == set()
}

test_the_network_of_the_host_is_another_policys if _paths(_with("/spec/hostNetwork", true)) == set()

test_sysctls if {
	_paths(_with("/spec/securityContext/sysctls", [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}])) == set()
	_paths(_with("/spec/securityContext/sysctls", [{"name": "kernel.msgmax", "value": "1"}])) == {"spec/securityContext/sysctls/0/name"}
}

test_volumes if {
	every type in ["configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret", "hostPath"] {
		_paths(_with("/spec/volumes", [{"name": "v", type: {}}])) == set()
	}
	_paths(_with("/spec/volumes", [{"name": "v", "nfs": {}}])) == {"spec/volumes/0/nfs"}
	_paths(_with("/spec/volumes", [{"image": {}}])) == {"spec/volumes/0/image"}
}

test_hosts_of_probes_and_hooks if {
	_paths(_with("/spec/containers/0/livenessProbe", {"httpGet": {"port": 1, "host": ""}})) == set()
	_paths(_with("/spec/containers/0/livenessProbe", {"httpGet": {"port": 1, "host": "10.0.0.1"}})) == {"spec/containers/0/livenessProbe/httpGet/host"}
	_paths(_with("/spec/containers/0/lifecycle", {"preStop": {"httpGet": {"host": "node"}}})) == {"spec/containers/0/lifecycle/preStop/httpGet/host"}
}
