# METADATA
# title: Pods keep to Pod Security `restricted`
# description: |
#   What the cluster would refuse at admission is refused here first, and in namespaces that enforce
#   less it is refused at all. The rules are those of the standard, for every container, init and
#   ephemeral ones included, and the container's own setting comes before the pod's. Stricter by
#   one: no capability may be added, not even NET_BIND_SERVICE, for low ports are opened to all by a
#   sysctl. Left to other policies: the host's network and ports, and hostPath.
# related_resources:
#   - https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
# custom:
#   requirements: [G2]
#   severity: error
#   remediation: |
#     Give the pod `runAsNonRoot: true`, a `runAsUser` other than 0 and `seccompProfile: {type:
#     RuntimeDefault}`, give each container `allowPrivilegeEscalation: false` and `capabilities: {drop:
#     [ALL]}`, and remove what opens the host's namespaces, devices or kernel settings.
package policies.workloads.pod_security

import data.policies.lib.kubernetes

_seccomp_types := {"RuntimeDefault", "Localhost"}

_apparmor_types := {"RuntimeDefault", "Localhost"}

_selinux_types := {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}

_volume_types := {
	"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}

_sysctls := {
	"kernel.shm_rmid_forced",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.ip_local_reserved_ports",
	"net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ping_group_range",
	"net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_syncookies",
	"net.ipv4.tcp_wmem",
}

# What every container must be told, by itself or by its pod.

deny contains result if {
	some holder in _containers
	kubernetes.setting(input, holder.container, "runAsNonRoot") == null
	result := _missing(holder, ["runAsNonRoot"], "may run as root: runAsNonRoot is not set")
}

deny contains result if {
	some holder in _containers
	kubernetes.setting(input, holder.container, "seccompProfile") == null
	result := _missing(holder, ["seccompProfile"], "has no seccomp profile")
}

# What every container must be told itself.

deny contains result if {
	some holder in _containers
	object.get(holder.context, "allowPrivilegeEscalation", null) != false
	result := _wrong(holder, ["allowPrivilegeEscalation"], "may gain privileges: allowPrivilegeEscalation is not false")
}

deny contains result if {
	some holder in _containers
	not "ALL" in object.get(holder.context, ["capabilities", "drop"], [])
	result := _wrong(holder, ["capabilities", "drop"], "does not drop ALL capabilities")
}

# What neither a pod nor a container may be told.

deny contains result if {
	some holder in _containers
	some i, capability in holder.context.capabilities.add
	result := _wrong(holder, ["capabilities", "add", i], sprintf("adds the capability %s", [capability]))
}

deny contains result if {
	some holder in _holders
	holder.context.runAsNonRoot == false
	result := _wrong(holder, ["runAsNonRoot"], "may run as root: runAsNonRoot is false")
}

deny contains result if {
	some holder in _holders
	holder.context.runAsUser == 0
	result := _wrong(holder, ["runAsUser"], "runs as root")
}

deny contains result if {
	some holder in _holders
	profile := holder.context.seccompProfile
	profile != null
	not object.get(profile, "type", "") in _seccomp_types
	result := _wrong(holder, ["seccompProfile", "type"], "has a seccomp profile that is neither RuntimeDefault nor Localhost")
}

deny contains result if {
	some holder in _holders
	profile := holder.context.appArmorProfile
	profile != null
	not object.get(profile, "type", "") in _apparmor_types
	result := _wrong(holder, ["appArmorProfile", "type"], "has an AppArmor profile that is neither RuntimeDefault nor Localhost")
}

deny contains result if {
	some holder in _holders
	type := holder.context.seLinuxOptions.type
	not type in _selinux_types
	result := _wrong(holder, ["seLinuxOptions", "type"], sprintf("has the SELinux type %s", [type]))
}

deny contains result if {
	some holder in _holders
	some field in ["user", "role"]
	object.get(holder.context, ["seLinuxOptions", field], "") != ""
	result := _wrong(holder, ["seLinuxOptions", field], sprintf("has an SELinux %s of its own", [field]))
}

deny contains result if {
	some holder in _holders
	holder.context.windowsOptions.hostProcess == true
	result := _wrong(holder, ["windowsOptions", "hostProcess"], "is a process of the host")
}

deny contains result if {
	some holder in _containers
	holder.context.privileged == true
	result := _wrong(holder, ["privileged"], "is privileged")
}

deny contains result if {
	some holder in _containers
	not object.get(holder.context, "procMount", "Default") in {"Default", null}
	result := _wrong(holder, ["procMount"], "sees more of /proc than the runtime shows by default")
}

deny contains result if {
	some i, sysctl in _pod_holder.context.sysctls
	not sysctl.name in _sysctls
	result := _wrong(_pod_holder, ["sysctls", i, "name"], sprintf("sets %s, which is not on the list of safe sysctls", [sysctl.name]))
}

deny contains result if {
	some field in ["hostPID", "hostIPC"]
	kubernetes.pod_spec(input)[field] == true
	result := {
		"msg": sprintf("%s shares a namespace with the host: %s", [kubernetes.describe(input), field]),
		"path": array.concat(kubernetes.pod_spec_path(input), [field]),
		"value": true,
	}
}

deny contains result if {
	some entry in kubernetes.volumes(input)
	some type in (object.keys(entry.volume) - (_volume_types | {"name", "hostPath"}))
	result := {
		"msg": sprintf("volume %s of %s is of the type %s", [
			object.get(entry.volume, "name", "(no name)"),
			kubernetes.describe(input),
			type,
		]),
		"path": array.concat(entry.path, [type]),
	}
}

# The kubelet would ask any host that a probe or a hook names.
deny contains result if {
	some holder in _containers
	some where in [
		["livenessProbe"],
		["readinessProbe"],
		["startupProbe"],
		["lifecycle", "postStart"],
		["lifecycle", "preStop"],
	]
	some handler in ["httpGet", "tcpSocket"]
	field := array.concat(where, [handler, "host"])
	host := object.get(holder.container, field, "")
	not host in {"", null}
	result := {
		"msg": sprintf("%s makes the kubelet talk to the host %s", [holder.who, host]),
		"path": array.concat(holder.container_path, field),
		"value": host,
	}
}

# The annotation that AppArmor profiles had before Kubernetes 1.30.
deny contains result if {
	some key, profile in kubernetes.pod(input).metadata.annotations
	startswith(key, "container.apparmor.security.beta.kubernetes.io/")
	not regex.match(`^(runtime/default|localhost/.+)$`, profile)
	result := {
		"msg": sprintf("%s has the AppArmor profile %s", [kubernetes.describe(input), profile]),
		"path": array.concat(kubernetes.pod_path(input), ["metadata", "annotations", key]),
		"value": profile,
	}
}

# Everything that has a security context: the pod and its containers.
_holders := {_pod_holder} | _containers

_pod_holder := {
	"who": kubernetes.describe(input),
	"context": _context(kubernetes.pod_spec(input)),
	"path": array.concat(kubernetes.pod_spec_path(input), ["securityContext"]),
}

_containers contains holder if {
	some entry in kubernetes.containers(input)
	holder := {
		"who": kubernetes.describe_container(input, entry),
		"container": entry.container,
		"container_path": entry.path,
		"context": _context(entry.container),
		"path": array.concat(entry.path, ["securityContext"]),
	}
}

# The context may be written as null.
_context(o) := context if {
	context := object.get(o, "securityContext", {})
	is_object(context)
} else := {}

_wrong(holder, field, what) := {
	"msg": sprintf("%s %s", [holder.who, what]),
	"path": array.concat(holder.path, field),
	"value": object.get(holder.context, field, null),
}

# What both may say is best said once, by the pod.
_missing(holder, field, what) := {
	"msg": sprintf("%s %s", [holder.who, what]),
	"path": array.concat(_pod_holder.path, field),
}
