package pod

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const restricted = `
shareProcessNamespace: true
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10002
  fsGroup: 10003
  seccompProfile: {type: RuntimeDefault}
  sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "80"}]
containers:
  - name: web
    image: localhost/web:1
    command: [web, --node=$(NODE), --literal=$$(NODE), --unknown=$(UNKNOWN)]
    args: [--name, $(NAME)]
    env:
      - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
      - {name: NAME, value: "$(HOSTNAME).$(NODE)"}
      - {name: LANG, value: C}
    resources: {limits: {memory: 64Mi}}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      - {name: data, mountPath: /srv/web/}
      - {name: config, mountPath: /srv, readOnly: true}
`

// like reads a pod's specification and changes it.
func like(t *testing.T, change func(*corev1.PodSpec, *corev1.Container)) *corev1.PodSpec {
	t.Helper()
	var spec corev1.PodSpec
	require.NoError(t, yaml.UnmarshalStrict([]byte(restricted), &spec))
	if change != nil {
		change(&spec, &spec.Containers[0])
	}
	return &spec
}

func around() setting {
	return setting{
		name:      "web",
		namespace: "site",
		image:     v1.Config{Env: []string{"PATH=/image/bin", "LANG=de", "ONLY=image"}, Cmd: []string{"default"}, WorkingDir: "/work"},
		rootfs:    "/bundle/rootfs",
		volumes:   map[string]string{"data": "/outside/data", "config": "/outside/config"},
		files:     map[string]string{"/etc/hosts": "/outside/hosts"},
		shared:    namespaces{network: "/net", pid: "/pid", ipc: "/ipc", uts: "/uts"},
		cgroup:    "/run/web",
		env:       map[string]string{"KUBERNETES_SERVICE_PORT": "6443"},
	}
}

func mountAt(t *testing.T, spec *specs.Spec, destination string) (int, specs.Mount) {
	t.Helper()
	for i, mount := range spec.Mounts {
		if mount.Destination == destination {
			return i, mount
		}
	}
	require.Fail(t, "nothing is mounted at "+destination)
	return 0, specs.Mount{}
}

func TestContainerSpec(t *testing.T) {
	no := false
	yes := true
	var root, other int64 = 0, 4711
	for name, test := range map[string]struct {
		change func(*corev1.PodSpec, *corev1.Container)
		check  func(*testing.T, *specs.Spec)
	}{
		"user, group and the volumes' group": {nil, func(t *testing.T, s *specs.Spec) {
			assert.Equal(t, specs.User{UID: 10001, GID: 10002, AdditionalGids: []uint32{10003}}, s.Process.User)
		}},
		"the container's user goes before the pod's": {
			func(_ *corev1.PodSpec, c *corev1.Container) { c.SecurityContext.RunAsUser = &other },
			func(t *testing.T, s *specs.Spec) { assert.EqualValues(t, other, s.Process.User.UID) },
		},
		"no capability when all are dropped": {nil, func(t *testing.T, s *specs.Spec) {
			assert.Empty(t, s.Process.Capabilities.Bounding)
			assert.Empty(t, s.Process.Capabilities.Effective)
			assert.Empty(t, s.Process.Capabilities.Ambient)
		}},
		"dropped and added capabilities": {
			func(_ *corev1.PodSpec, c *corev1.Container) {
				c.SecurityContext.Capabilities.Drop = []corev1.Capability{"CHOWN"}
				c.SecurityContext.Capabilities.Add = []corev1.Capability{"SYS_TIME"}
			},
			func(t *testing.T, s *specs.Spec) {
				assert.NotContains(t, s.Process.Capabilities.Bounding, "CAP_CHOWN")
				assert.Contains(t, s.Process.Capabilities.Bounding, "CAP_KILL")
				assert.Contains(t, s.Process.Capabilities.Bounding, "CAP_SYS_TIME")
				assert.Empty(t, s.Process.Capabilities.Effective, "another user than root has none")
			},
		},
		"the runtime's capabilities for who says nothing": {
			func(p *corev1.PodSpec, c *corev1.Container) {
				c.SecurityContext = nil
				p.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &root}
			},
			func(t *testing.T, s *specs.Spec) {
				assert.Len(t, s.Process.Capabilities.Effective, 14)
				assert.False(t, s.Process.NoNewPrivileges)
				assert.False(t, s.Root.Readonly)
				assert.Nil(t, s.Linux.Seccomp)
			},
		},
		"no new privileges": {nil, func(t *testing.T, s *specs.Spec) { assert.True(t, s.Process.NoNewPrivileges) }},
		"a read-only root, also for the files under /etc": {nil, func(t *testing.T, s *specs.Spec) {
			assert.Equal(t, &specs.Root{Path: "/bundle/rootfs", Readonly: true}, s.Root)
			_, hosts := mountAt(t, s, "/etc/hosts")
			assert.Contains(t, hosts.Options, "ro")
		}},
		"mounts, the upper ones first": {nil, func(t *testing.T, s *specs.Spec) {
			first, config := mountAt(t, s, "/srv")
			second, data := mountAt(t, s, "/srv/web")
			assert.Less(t, first, second)
			assert.Equal(t, "/outside/config", config.Source)
			assert.Contains(t, config.Options, "ro")
			assert.Equal(t, "/outside/data", data.Source)
			assert.Contains(t, data.Options, "rw")
		}},
		"variables and arguments": {nil, func(t *testing.T, s *specs.Spec) {
			assert.Equal(t, []string{
				"HOSTNAME=web", "KUBERNETES_SERVICE_PORT=6443", "LANG=C", "NAME=web.localhost", "NODE=localhost",
				"ONLY=image", "PATH=/image/bin",
			}, s.Process.Env)
			assert.Equal(t, []string{
				"web", "--node=localhost", "--literal=$(NODE)", "--unknown=$(UNKNOWN)", "--name", "web.localhost",
			}, s.Process.Args)
			assert.Equal(t, "/work", s.Process.Cwd)
		}},
		"the image's command for who has none": {
			func(_ *corev1.PodSpec, c *corev1.Container) { c.Command, c.Args = nil, nil },
			func(t *testing.T, s *specs.Spec) { assert.Equal(t, []string{"default"}, s.Process.Args) },
		},
		"fields of the pod": {
			func(_ *corev1.PodSpec, c *corev1.Container) {
				c.Env = nil
				for _, field := range []string{"metadata.name", "metadata.namespace", "status.podIP", "status.hostIP"} {
					c.Env = append(c.Env, corev1.EnvVar{Name: field, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: field}}})
				}
			},
			func(t *testing.T, s *specs.Spec) {
				assert.Subset(t, s.Process.Env, []string{
					"metadata.name=web", "metadata.namespace=site", "status.podIP=127.0.0.1", "status.hostIP=127.0.0.1",
				})
			},
		},
		"memory limit and cgroup": {nil, func(t *testing.T, s *specs.Spec) {
			assert.EqualValues(t, 64<<20, *s.Linux.Resources.Memory.Limit)
			assert.Equal(t, "/run/web", s.Linux.CgroupsPath)
		}},
		"no memory limit": {
			func(_ *corev1.PodSpec, c *corev1.Container) { c.Resources = corev1.ResourceRequirements{} },
			func(t *testing.T, s *specs.Spec) { assert.Nil(t, s.Linux.Resources.Memory) },
		},
		"the pod's namespaces": {nil, func(t *testing.T, s *specs.Spec) {
			assert.ElementsMatch(t, []specs.LinuxNamespace{
				{Type: specs.MountNamespace},
				{Type: specs.NetworkNamespace, Path: "/net"},
				{Type: specs.PIDNamespace, Path: "/pid"},
				{Type: specs.IPCNamespace, Path: "/ipc"},
				{Type: specs.UTSNamespace, Path: "/uts"},
			}, s.Linux.Namespaces)
			assert.Empty(t, s.Linux.Sysctl, "they are the sandbox's")
		}},
		"seccomp of the runtime": {nil, func(t *testing.T, s *specs.Spec) {
			require.NotNil(t, s.Linux.Seccomp)
			var refused []string
			for _, call := range s.Linux.Seccomp.Syscalls {
				assert.Equal(t, specs.ActErrno, call.Action)
				refused = append(refused, call.Names...)
			}
			assert.Subset(t, refused, []string{"io_uring_setup", "mount", "unshare", "clone3", "clone"})
			assert.NotContains(t, refused, "read")
		}},
		"seccomp of the container": {
			func(_ *corev1.PodSpec, c *corev1.Container) {
				c.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
			},
			func(t *testing.T, s *specs.Spec) { assert.Nil(t, s.Linux.Seccomp) },
		},
		"privileges may grow where that is allowed": {
			func(_ *corev1.PodSpec, c *corev1.Container) { c.SecurityContext.AllowPrivilegeEscalation = &yes },
			func(t *testing.T, s *specs.Spec) { assert.False(t, s.Process.NoNewPrivileges) },
		},
		"a root that can be written to": {
			func(_ *corev1.PodSpec, c *corev1.Container) { c.SecurityContext.ReadOnlyRootFilesystem = &no },
			func(t *testing.T, s *specs.Spec) { assert.False(t, s.Root.Readonly) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := like(t, test.change)
			spec, err := containerSpec(pod, &pod.Containers[0], around())
			require.NoError(t, err)
			test.check(t, spec)
		})
	}
}

func TestContainerSpecRefuses(t *testing.T) {
	yes := true
	var root int64
	for name, test := range map[string]struct {
		change func(*corev1.PodSpec, *corev1.Container)
		want   string
	}{
		"root that must not be": {
			func(_ *corev1.PodSpec, c *corev1.Container) { c.SecurityContext.RunAsUser = &root }, "is root and has runAsNonRoot",
		},
		"no user": {
			func(p *corev1.PodSpec, _ *corev1.Container) { p.SecurityContext.RunAsUser = nil }, "say runAsUser",
		},
		"privileged": {
			func(_ *corev1.PodSpec, c *corev1.Container) { c.SecurityContext.Privileged = &yes }, "is privileged",
		},
		"a volume that is not there": {
			func(_ *corev1.PodSpec, c *corev1.Container) { c.VolumeMounts[0].Name = "none" }, "mounts the volume none",
		},
		"a part of a volume": {
			func(_ *corev1.PodSpec, c *corev1.Container) { c.VolumeMounts[0].SubPath = "x" }, "subPath",
		},
		"variables from a Secret": {
			func(_ *corev1.PodSpec, c *corev1.Container) {
				c.Env[0].ValueFrom = &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{}}
			}, "variable NODE",
		},
		"an unknown field": {
			func(_ *corev1.PodSpec, c *corev1.Container) { c.Env[0].ValueFrom.FieldRef.FieldPath = "spec.none" }, "field spec.none",
		},
		"hooks": {
			func(_ *corev1.PodSpec, c *corev1.Container) { c.Lifecycle = &corev1.Lifecycle{} }, "lifecycle",
		},
		"a profile of the node": {
			func(p *corev1.PodSpec, _ *corev1.Container) {
				p.SecurityContext.SeccompProfile.Type = corev1.SeccompProfileTypeLocalhost
			}, "seccomp profile Localhost",
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := like(t, test.change)
			_, err := containerSpec(pod, &pod.Containers[0], around())
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestSandboxSpec(t *testing.T) {
	s := around()
	s.shared = namespaces{network: "/net"}
	spec, err := sandboxSpec(like(t, nil), s)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"net.ipv4.ip_unprivileged_port_start": "80"}, spec.Linux.Sysctl)
	assert.Contains(t, spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.PIDNamespace}, "of its own")
	assert.Contains(t, spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: "/net"})
	assert.Equal(t, "web", spec.Hostname)
	assert.EqualValues(t, 10001, spec.Process.User.UID)
	assert.True(t, spec.Root.Readonly)
	assert.True(t, spec.Process.NoNewPrivileges)
	assert.Empty(t, spec.Process.Capabilities.Bounding)
}
