package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
)

func objectChecks() []check {
	return []check{
		{"B1", "each service in a pod of its own, from images that were built here", ownImages},
		{"B2 G10 R5", "five LoadBalancers with one address, no NodePort, no node port", serviceTypes},
		{"B2 R6", "the cluster itself refuses node ports and privileged pods", refusals},
		{"B3", "MetalLB gives and announces the one address", balancer},
		{"B4", "a liveness probe for each container, 80 and 443 for nginx alone", probesAndPorts},
		{"B5", "labels, requests, volumes and ConfigMaps are used for what they are for", objectsAreUsed},
		{"R2", "a container bears its service's name", containerNames},
		{"R3", "each service has its own Dockerfile", dockerfiles},
		{"R6", "no Ingress and no NodePort anywhere", noOtherEntry},
		{"G12", "no password or key in git, in a specification, in a log or in an event", nothingLeaks},
	}
}

func (t *test) allPods() []corev1.Pod {
	t.Helper()
	pods, err := t.stack.AllPods(t.Context())
	require.NoError(t, err)
	return pods
}

func containers(spec *corev1.PodSpec) []corev1.Container {
	return slices.Concat(spec.InitContainers, spec.Containers)
}

func ownImages(t *test) {
	seen := map[string]string{}
	for _, pod := range t.allPods() {
		service := pod.Labels[stack.NameLabel]
		assert.Empty(t, seen[service], "service %s has two pods: %s and %s", service, seen[service], pod.Name)
		seen[service] = pod.Name
		for _, container := range containers(&pod.Spec) {
			registry, _, named := strings.Cut(container.Image, "/")
			assert.True(t, named && (registry == "localhost" || strings.ContainsAny(registry, ".:")),
				"%s: image %s names no registry, and so means Docker Hub", pod.Name, container.Image)
			assert.NotContains(t, container.Image, "docker.io", pod.Name)
			assert.Contains(t, container.Image, "/ft-services/", pod.Name)
			assert.NotEqual(t, corev1.PullAlways, container.ImagePullPolicy, pod.Name)
		}
	}
	for _, service := range stack.Services {
		assert.NotEmpty(t, seen[service], "service %s has no pod", service)
	}
}

func (t *test) services(namespace string) map[string]corev1.Service {
	t.Helper()
	list, err := t.stack.Client.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	services := map[string]corev1.Service{}
	for _, service := range list.Items {
		services[service.Name] = service
	}
	return services
}

func serviceTypes(t *test) {
	services := t.services(stack.Namespace)
	for _, name := range stack.Public {
		service := services[name]
		assert.Equal(t, corev1.ServiceTypeLoadBalancer, service.Spec.Type, name)
		require.Len(t, service.Status.LoadBalancer.Ingress, 1, name)
		assert.Equal(t, t.stack.Address.String(), service.Status.LoadBalancer.Ingress[0].IP, name)
	}
	for _, name := range stack.Private {
		assert.Equal(t, corev1.ServiceTypeClusterIP, services[name].Spec.Type, name)
	}
	balancers := 0
	for name, service := range t.services(metav1.NamespaceAll) {
		if service.Spec.Type == corev1.ServiceTypeLoadBalancer {
			balancers++
			require.NotNil(t, service.Spec.AllocateLoadBalancerNodePorts, name)
			assert.False(t, *service.Spec.AllocateLoadBalancerNodePorts, name)
		}
		assert.NotEqual(t, corev1.ServiceTypeNodePort, service.Spec.Type, name)
		assert.Zero(t, service.Spec.HealthCheckNodePort, name)
		for _, port := range service.Spec.Ports {
			assert.Zero(t, port.NodePort, "%s port %d", name, port.Port)
		}
	}
	assert.Equal(t, len(stack.Public), balancers)
	// What a grader looks at.
	shown := t.kubectl("get", "svc", "-A")
	assert.NotContains(t, shown, "NodePort")
	assert.NotContains(t, shown, "<pending>")
	assert.Equal(t, len(stack.Public), strings.Count(shown, t.stack.Address.String()), shown)
	for _, pod := range t.allPods() {
		assert.False(t, pod.Spec.HostNetwork, pod.Name)
		for _, container := range containers(&pod.Spec) {
			for _, port := range container.Ports {
				assert.Zero(t, port.HostPort, "%s port %d", pod.Name, port.ContainerPort)
			}
		}
	}
}

func refusals(t *test) {
	services := t.stack.Client.CoreV1().Services(stack.Namespace)
	ports := []corev1.ServicePort{{Name: "http", Port: 9999}}
	for name, spec := range map[string]corev1.ServiceSpec{
		"e2e-node-port":     {Type: corev1.ServiceTypeNodePort, Ports: ports},
		"e2e-load-balancer": {Type: corev1.ServiceTypeLoadBalancer, Ports: ports}, // which opens node ports unless told not to
	} {
		_, err := services.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
		if err == nil {
			assert.NoError(t, services.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}))
		}
		assert.True(t, apierrors.IsForbidden(err), "Service %s: %v", name, err)
		assert.ErrorContains(t, err, "exceeded quota: no-node-ports", name)
	}

	yes := true
	pods := t.stack.Client.CoreV1().Pods(stack.Namespace)
	bad := map[string]func(*corev1.PodSpec){
		"privileged":   func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.Privileged = &yes },
		"host-network": func(s *corev1.PodSpec) { s.HostNetwork = true },
		"host-port": func(s *corev1.PodSpec) {
			s.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 9, HostPort: 9}}
		},
		"host-path": func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		},
		"root": func(s *corev1.PodSpec) {},
	}
	for name, change := range bad {
		spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "localhost/none", SecurityContext: &corev1.SecurityContext{}}}}
		change(&spec)
		// A dry run goes through admission like any other request.
		_, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "e2e-" + name}, Spec: spec},
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		assert.True(t, apierrors.IsForbidden(err), "pod %s: %v", name, err)
		assert.ErrorContains(t, err, "PodSecurity", name)
	}
}

func balancer(t *test) {
	pool := t.kubectl("get", "ipaddresspools.metallb.io", "--namespace=metallb-system",
		"--output=jsonpath={range .items[*]}{.metadata.name} {.spec.autoAssign} {.spec.addresses}{\"\\n\"}{end}")
	assert.Equal(t, fmt.Sprintf("ft-services false [%q]\n", t.stack.Address.String()+"/32"), pool)
	advertised := t.kubectl("get", "l2advertisements.metallb.io", "--namespace=metallb-system",
		"--output=jsonpath={range .items[*]}{.spec.ipAddressPools}{.spec.serviceSelectors}{\"\\n\"}{end}")
	assert.Equal(t, "[\"ft-services\"]\n", advertised)
	for _, name := range stack.Public {
		service := t.services(stack.Namespace)[name]
		assert.Equal(t, corev1.ServiceExternalTrafficPolicyCluster, service.Spec.ExternalTrafficPolicy, name)
		assert.NotEmpty(t, service.Annotations["metallb.io/allow-shared-ip"], name)
	}
	// The neighbour table: this machine has resolved the address to the node's own link.
	_, err := stack.Get(t.Context(), t.stack.Browser(), t.stack.URL("https", 0, "/"))
	require.NoError(t, err)
	output, err := t.stack.Run(t.Context(), nil, "ip", "neighbour", "show")
	require.NoError(t, err)
	assert.Regexp(t, regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(t.stack.Address.String())+` .*lladdr`), output)
}

func probesAndPorts(t *test) {
	for _, pod := range t.allPods() {
		for _, container := range pod.Spec.Containers {
			name := pod.Name + "/" + container.Name
			assert.NotNil(t, container.LivenessProbe, "liveness probe of %s", name)
			assert.NotNil(t, container.ReadinessProbe, "readiness probe of %s", name)
			for _, port := range container.Ports {
				if port.ContainerPort == 80 || port.ContainerPort == 443 {
					assert.Equal(t, "nginx", pod.Labels[stack.NameLabel], "port %d of %s", port.ContainerPort, name)
				}
			}
		}
	}
	for name, service := range t.services(stack.Namespace) {
		for _, port := range service.Spec.Ports {
			if port.Port == 80 || port.Port == 443 {
				assert.Equal(t, "nginx", name)
			}
		}
	}
}

func objectsAreUsed(t *test) {
	emptyDirs, hostPaths, claims, configMaps := 0, []string{}, []string{}, 0
	for _, pod := range t.allPods() {
		for _, key := range []string{"name", "component", "part-of", "managed-by", "version"} {
			assert.NotEmpty(t, pod.Labels["app.kubernetes.io/"+key], "label %s of %s", key, pod.Name)
		}
		for _, container := range containers(&pod.Spec) {
			assert.NotZero(t, container.Resources.Requests.Cpu().MilliValue(), "CPU request of %s/%s", pod.Name, container.Name)
			assert.NotZero(t, container.Resources.Requests.Memory().Value(), "memory request of %s/%s", pod.Name, container.Name)
		}
		for _, volume := range pod.Spec.Volumes {
			switch {
			case volume.EmptyDir != nil:
				emptyDirs++
			case volume.HostPath != nil:
				hostPaths = append(hostPaths, pod.Labels[stack.NameLabel])
				for _, container := range containers(&pod.Spec) {
					for _, mount := range container.VolumeMounts {
						if mount.Name == volume.Name {
							assert.True(t, mount.ReadOnly, "%s mounts %s writable", pod.Name, volume.HostPath.Path)
						}
					}
				}
			case volume.PersistentVolumeClaim != nil:
				claims = append(claims, volume.PersistentVolumeClaim.ClaimName)
			case volume.ConfigMap != nil:
				// kubelet's own kube-root-ca.crt is projected, so what is left are those of the overlay.
				configMaps++
				assert.Regexp(t, regexp.MustCompile(`-[bcdfghkmt24-9]{10}$`), volume.ConfigMap.Name, "%s: its content's hash", pod.Name)
			}
		}
	}
	assert.NotZero(t, emptyDirs)
	assert.NotZero(t, configMaps)
	assert.Equal(t, []string{"telegraf-node", "telegraf-node"}, hostPaths)
	slices.Sort(claims)
	assert.Equal(t, []string{"ftps", "grafana", "influxdb", "mysql", "wordpress"}, claims)
	bound, err := t.stack.Client.CoreV1().PersistentVolumeClaims(stack.Namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, claim := range bound.Items {
		assert.Equal(t, corev1.ClaimBound, claim.Status.Phase, claim.Name)
		require.NotNil(t, claim.Spec.StorageClassName, claim.Name)
		class, err := t.stack.Client.StorageV1().StorageClasses().Get(t.Context(), *claim.Spec.StorageClassName, metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, "true", class.Annotations["storageclass.kubernetes.io/is-default-class"], claim.Name)
	}
}

func containerNames(t *test) {
	for _, service := range stack.Services {
		pod, err := t.stack.Pod(t.Context(), service)
		require.NoError(t, err)
		assert.True(t, slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == service }), service)
		// It is the one that `kubectl exec` and `kubectl logs` pick.
		chosen := pod.Annotations["kubectl.kubernetes.io/default-container"]
		if chosen == "" {
			chosen = pod.Spec.Containers[0].Name
		}
		assert.Equal(t, service, chosen)
	}
}

func dockerfiles(t *test) {
	for _, service := range stack.Services {
		text, err := t.stack.ReadFile("images", service, "Dockerfile")
		require.NoError(t, err)
		assert.Contains(t, string(text), "FROM ", service)
	}
}

func noOtherEntry(t *test) {
	ingresses, err := t.stack.Client.NetworkingV1().Ingresses(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, ingresses.Items)
	kinds := t.kubectl("api-resources", "--output=name")
	assert.NotContains(t, kinds, "gateway.networking.k8s.io")
	rendered := t.kubectl("kustomize", t.stack.Overlay)
	assert.NotContains(t, rendered, "kind: Ingress\n")
	assert.NotContains(t, rendered, "NodePort\n")
}

// nothingLeaks looks for the values of the live Secrets where they must not be.
func nothingLeaks(t *test) {
	secrets, err := t.stack.Client.CoreV1().Secrets(stack.Namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	values := map[string]string{}
	for _, secret := range secrets.Items {
		for key, value := range secret.Data {
			text := strings.TrimSpace(string(value))
			switch {
			case key == "username", strings.HasSuffix(key, ".crt"):
				continue // no secret
			case strings.HasSuffix(key, ".key"):
				// A line from the middle of the key.
				lines := strings.Split(text, "\n")
				text = lines[len(lines)/2]
			case key == "passwd":
				text, _, _ = strings.Cut(text, "\n")
			}
			require.GreaterOrEqual(t, len(text), 12, "Secret %s key %s is too short to look for", secret.Name, key)
			values[secret.Name+"/"+key] = text
		}
	}
	require.GreaterOrEqual(t, len(values), 15)

	places := map[string]string{
		"specifications":       t.kubectl("get", "pods,deployments,configmaps,services,replicasets", "--output=yaml"),
		"the node's namespace": t.kubectl("get", "all,configmaps", "--namespace="+stack.NodeNamespace, "--output=yaml"),
		"events":               t.kubectl("get", "events", "--output=yaml"),
	}
	for _, service := range append(t.running(), "credentials") {
		places["the log of "+service] = t.kubectl("logs", "deploy/"+service, "--all-containers", "--tail=-1")
		if service == "credentials" {
			continue // its image holds nothing to look with
		}
		output, err := t.exec(service, "sh", "-c", `cat /proc/[0-9]*/cmdline | tr '\0' ' '`)
		require.NoError(t, err)
		require.Contains(t, output, "pause", "the command lines are there to see")
		places["the command lines of "+service] = output
	}
	for place, text := range places {
		for name, value := range values {
			// The message must not print what it has found.
			assert.False(t, strings.Contains(text, value), "%s show the value of Secret %s", place, name)
		}
	}
	for name, value := range values {
		// -f -: a pattern in an argument would itself be a leak.
		cmd := exec.CommandContext(t.Context(), "git", "-C", t.stack.Repository, "grep", "--quiet", "--fixed-strings", "-f", "-")
		cmd.Stdin = strings.NewReader(value)
		err := cmd.Run()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "git has the value of Secret %s", name)
		require.Equal(t, 1, exit.ExitCode(), "git grep")
	}
}
