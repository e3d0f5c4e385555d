package pod

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
)

const (
	defaultPath   = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	clusterDomain = "cluster.local"
	podAddress    = "127.0.0.1"
	nodeName      = "localhost"
)

// namespaces are files under /proc or bind mounts of such; an empty one means a namespace of the
// container's own.
type namespaces struct {
	network, pid, ipc, uts string
}

// setting is what surrounds one container: all that its specification needs and that is not in the
// pod template.
type setting struct {
	name      string // of the pod
	namespace string
	image     v1.Config
	rootfs    string
	volumes   map[string]string // directories on this machine, by the volume's name
	files     map[string]string // what a kubelet puts into every container: path inside → outside
	shared    namespaces
	cgroup    string
	env       map[string]string // what a kubelet adds, e.g. where the API server is
}

// userOf returns whom a container runs as, and its further groups.
func userOf(pod *corev1.PodSpec, container *corev1.Container, image v1.Config) (specs.User, error) {
	var user specs.User
	general, own := pod.SecurityContext, container.SecurityContext
	if general == nil {
		general = &corev1.PodSecurityContext{}
	}
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	first := func(values ...*int64) *int64 {
		for _, value := range values {
			if value != nil {
				return value
			}
		}
		return nil
	}
	uid := first(own.RunAsUser, general.RunAsUser)
	if uid == nil {
		return user, fmt.Errorf("container %s runs as the image's user %q: say runAsUser", container.Name, image.User)
	}
	user.UID = uint32(*uid)
	if gid := first(own.RunAsGroup, general.RunAsGroup); gid != nil {
		user.GID = uint32(*gid)
	}
	nonRoot := own.RunAsNonRoot
	if nonRoot == nil {
		nonRoot = general.RunAsNonRoot
	}
	if nonRoot != nil && *nonRoot && user.UID == 0 {
		return user, fmt.Errorf("container %s is root and has runAsNonRoot", container.Name)
	}
	for _, gid := range general.SupplementalGroups {
		user.AdditionalGids = append(user.AdditionalGids, uint32(gid))
	}
	if general.FSGroup != nil {
		user.AdditionalGids = append(user.AdditionalGids, uint32(*general.FSGroup))
	}
	return user, nil
}

// runtimeCapabilities are what a runtime gives a container that does not speak of capabilities.
var runtimeCapabilities = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
	"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

func capabilitiesOf(container *corev1.Container, user specs.User) *specs.LinuxCapabilities {
	bounding := slices.Clone(runtimeCapabilities)
	if own := container.SecurityContext; own != nil && own.Capabilities != nil {
		for _, name := range own.Capabilities.Drop {
			bounding = slices.DeleteFunc(bounding, func(c string) bool { return name == "ALL" || c == "CAP_"+string(name) })
		}
		for _, name := range own.Capabilities.Add {
			bounding = append(bounding, "CAP_"+string(name))
		}
	}
	capabilities := &specs.LinuxCapabilities{Bounding: bounding}
	if user.UID == 0 {
		capabilities.Effective, capabilities.Permitted = bounding, bounding
	}
	return capabilities
}

// environmentOf returns the image's variables, then the kubelet's, then the container's.
func environmentOf(container *corev1.Container, s setting) ([]string, error) {
	values := map[string]string{"PATH": defaultPath, "HOSTNAME": s.name}
	for _, line := range s.image.Env {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
	}
	maps.Copy(values, s.env)
	for _, variable := range container.Env {
		value := variable.Value
		if source := variable.ValueFrom; source != nil {
			if source.FieldRef == nil {
				return nil, fmt.Errorf("container %s: variable %s comes from something else than a field, which is not supported here", container.Name, variable.Name)
			}
			var err error
			if value, err = fieldOf(source.FieldRef.FieldPath, s); err != nil {
				return nil, fmt.Errorf("container %s: variable %s: %w", container.Name, variable.Name, err)
			}
		}
		values[variable.Name] = expand(value, values)
	}
	env := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, name+"="+values[name])
	}
	return env, nil
}

func fieldOf(field string, s setting) (string, error) {
	switch field {
	case "metadata.name":
		return s.name, nil
	case "metadata.namespace":
		return s.namespace, nil
	case "spec.nodeName":
		return nodeName, nil
	case "status.podIP", "status.hostIP":
		return podAddress, nil
	}
	return "", fmt.Errorf("field %s is not supported here", field)
}

// expand replaces $(NAME) by what is known, leaves the unknown alone, and reads $$ as $.
func expand(text string, values map[string]string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		text = after
		if strings.HasPrefix(text, "$") {
			out.WriteByte('$')
			text = text[1:]
			continue
		}
		name, rest, closed := strings.Cut(strings.TrimPrefix(text, "("), ")")
		value, known := values[name]
		if strings.HasPrefix(text, "(") && closed && known {
			out.WriteString(value)
			text = rest
			continue
		}
		out.WriteByte('$')
	}
}

// argsOf returns what a container executes.
func argsOf(container *corev1.Container, image v1.Config, env []string) ([]string, error) {
	command, args := container.Command, container.Args
	if len(command) == 0 {
		command = image.Entrypoint
		if len(args) == 0 {
			args = image.Cmd
		}
	}
	values := map[string]string{}
	for _, line := range env {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
	}
	var all []string
	for _, arg := range append(slices.Clone(command), args...) {
		all = append(all, expand(arg, values))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("container %s has no command, and neither has its image", container.Name)
	}
	return all, nil
}

func mountsOf(container *corev1.Container, s setting) ([]specs.Mount, error) {
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
	}
	access := func(readOnly bool) string {
		if readOnly {
			return "ro"
		}
		return "rw"
	}
	for _, inside := range slices.Sorted(maps.Keys(s.files)) {
		mounts = append(mounts, specs.Mount{
			Destination: inside, Type: "bind", Source: s.files[inside],
			Options: []string{"bind", "rprivate", access(readOnlyRoot(container))},
		})
	}
	for _, mount := range container.VolumeMounts {
		if mount.SubPath != "" || mount.SubPathExpr != "" || mount.MountPropagation != nil {
			return nil, fmt.Errorf("container %s: the mount at %s uses subPath or mountPropagation, which are not supported here", container.Name, mount.MountPath)
		}
		directory, found := s.volumes[mount.Name]
		if !found {
			return nil, fmt.Errorf("container %s mounts the volume %s, which the pod does not have", container.Name, mount.Name)
		}
		mounts = append(mounts, specs.Mount{
			Destination: path.Clean(mount.MountPath), Type: "bind", Source: directory,
			Options: []string{"rbind", "rprivate", access(mount.ReadOnly)},
		})
	}
	// A mount must not hide one that lies below it.
	slices.SortStableFunc(mounts, func(a, b specs.Mount) int {
		return strings.Count(a.Destination, "/") - strings.Count(b.Destination, "/")
	})
	return mounts, nil
}

func readOnlyRoot(container *corev1.Container) bool {
	own := container.SecurityContext
	return own != nil && own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem
}

func seccompOf(pod *corev1.PodSpec, container *corev1.Container) (*specs.LinuxSeccomp, error) {
	var profile *corev1.SeccompProfile
	if general := pod.SecurityContext; general != nil {
		profile = general.SeccompProfile
	}
	if own := container.SecurityContext; own != nil && own.SeccompProfile != nil {
		profile = own.SeccompProfile
	}
	switch {
	case profile == nil || profile.Type == corev1.SeccompProfileTypeUnconfined:
		return nil, nil
	case profile.Type == corev1.SeccompProfileTypeRuntimeDefault:
		return defaultSeccomp(), nil
	}
	return nil, fmt.Errorf("container %s: the seccomp profile %s is not supported here", container.Name, profile.Type)
}

// containerSpec translates a container of a pod into what runc reads.
func containerSpec(pod *corev1.PodSpec, container *corev1.Container, s setting) (*specs.Spec, error) {
	if container.Lifecycle != nil || len(container.EnvFrom) > 0 || len(container.VolumeDevices) > 0 {
		return nil, fmt.Errorf("container %s uses lifecycle, envFrom or volumeDevices, which are not supported here", container.Name)
	}
	if own := container.SecurityContext; own != nil && own.Privileged != nil && *own.Privileged {
		return nil, fmt.Errorf("container %s is privileged, which is not supported here", container.Name)
	}
	user, userErr := userOf(pod, container, s.image)
	env, envErr := environmentOf(container, s)
	args, argsErr := argsOf(container, s.image, env)
	mounts, mountsErr := mountsOf(container, s)
	seccomp, seccompErr := seccompOf(pod, container)
	if err := errors.Join(userErr, envErr, argsErr, mountsErr, seccompErr); err != nil {
		return nil, err
	}
	escalation := true
	if own := container.SecurityContext; own != nil && own.AllowPrivilegeEscalation != nil {
		escalation = *own.AllowPrivilegeEscalation
	}
	cwd := container.WorkingDir
	if cwd == "" {
		cwd = s.image.WorkingDir
	}
	if cwd == "" {
		cwd = "/"
	}
	spec := &specs.Spec{
		Version:  "1.0.2",
		Hostname: s.name,
		Root:     &specs.Root{Path: s.rootfs, Readonly: readOnlyRoot(container)},
		Mounts:   mounts,
		Process: &specs.Process{
			User:            user,
			Args:            args,
			Env:             env,
			Cwd:             cwd,
			Capabilities:    capabilitiesOf(container, user),
			NoNewPrivileges: !escalation,
		},
		Linux: &specs.Linux{
			CgroupsPath: s.cgroup,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.MountNamespace},
				{Type: specs.NetworkNamespace, Path: s.shared.network},
				{Type: specs.PIDNamespace, Path: s.shared.pid},
				{Type: specs.IPCNamespace, Path: s.shared.ipc},
				{Type: specs.UTSNamespace, Path: s.shared.uts},
			},
			Seccomp: seccomp,
			Resources: &specs.LinuxResources{
				Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
			},
			MaskedPaths: []string{
				"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
				"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	if s.shared.uts != "" {
		spec.Hostname = "" // the sandbox has set it
	}
	if limit := container.Resources.Limits.Memory(); !limit.IsZero() {
		bytes := limit.Value()
		spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &bytes}
	}
	return spec, nil
}

// sandboxSpec is the container that holds the pod's namespaces. Like a cluster's pause, it is PID 1
// where the pod shares its processes, and reaps what nobody waits for.
func sandboxSpec(pod *corev1.PodSpec, s setting) (*specs.Spec, error) {
	yes, no := true, false
	holder := &corev1.Container{
		Name: "sandbox",
		// A shell that waits reaps any child, also those it did not start.
		Command: []string{"sh", "-c", `trap 'kill $!; exit' TERM; while :; do sleep 3600 & wait $!; done`},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no,
			ReadOnlyRootFilesystem:   &yes,
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	spec, err := containerSpec(pod, holder, s)
	if err != nil {
		return nil, err
	}
	if general := pod.SecurityContext; general != nil {
		for _, sysctl := range general.Sysctls {
			if spec.Linux.Sysctl == nil {
				spec.Linux.Sysctl = map[string]string{}
			}
			spec.Linux.Sysctl[sysctl.Name] = sysctl.Value
		}
	}
	return spec, nil
}
