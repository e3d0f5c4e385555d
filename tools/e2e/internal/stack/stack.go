// Package stack is the running stack as a test sees it: the objects in the API server, the kubectl that people type,
// and the one address that is open to the world.
package stack

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Where the stack is.
const (
	Namespace     = "ft-services"
	NodeNamespace = "ft-services-node"
	// NameLabel says to which service an object belongs.
	NameLabel = "app.kubernetes.io/name"
)

// The services, as requirements list them. Public are those with a port on the address.
var (
	Services = []string{"nginx", "ftps", "wordpress", "phpmyadmin", "mysql", "grafana", "influxdb", "telegraf"}
	Public   = []string{"nginx", "ftps", "wordpress", "phpmyadmin", "grafana"}
	Private  = []string{"mysql", "influxdb"}
)

// Stack is the running stack.
type Stack struct {
	Client kubernetes.Interface
	// Address is the load balancer's.
	Address netip.Addr
	// Repository is the root of the repository that the overlay lies in.
	Repository string
	// Overlay is what is deployed, relative to Repository.
	Overlay string
	// Tool is the command that runs tools/cluster on this cluster; empty if nobody said.
	Tool []string
	// Authority has signed the servers' certificates.
	Authority *x509.CertPool
}

// Options say where the stack is.
type Options struct {
	Repository, Overlay string
	// Tool is the words of a command, separated by spaces.
	Tool string
}

// Connect finds the stack through the kubeconfig that kubectl would use. It refuses a cluster whose address is not in
// a network that this process is connected to: packets for it would go elsewhere.
func Connect(ctx context.Context, options Options) (*Stack, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w; start the cluster with `make up` and the tests with `make e2e`", err)
	}
	config.QPS, config.Burst = 50, 100
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	repository, err := filepath.Abs(options.Repository)
	if err != nil {
		return nil, fmt.Errorf("find the repository: %w", err)
	}
	s := &Stack{Client: client, Repository: repository, Overlay: options.Overlay, Tool: strings.Fields(options.Tool)}
	service, err := client.CoreV1().Services(Namespace).Get(ctx, "nginx", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("find the stack in %s: %w; start it with `make up`", config.Host, err)
	}
	if len(service.Status.LoadBalancer.Ingress) == 0 {
		return nil, errors.New("find the load balancer's address: Service nginx has none; does MetalLB run?")
	}
	if s.Address, err = netip.ParseAddr(service.Status.LoadBalancer.Ingress[0].IP); err != nil {
		return nil, fmt.Errorf("read the load balancer's address: %w", err)
	}
	if err := connected(s.Address); err != nil {
		return nil, err
	}
	authority, err := s.Secret(ctx, "server-tls", "ca.crt")
	if err != nil {
		return nil, err
	}
	s.Authority = x509.NewCertPool()
	if !s.Authority.AppendCertsFromPEM([]byte(authority)) {
		return nil, errors.New("read the stack's authority: key ca.crt of Secret server-tls holds no certificate")
	}
	return s, nil
}

func connected(address netip.Addr) error {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("read this machine's addresses: %w", err)
	}
	for _, own := range interfaces {
		prefix, err := netip.ParsePrefix(own.String())
		if err == nil && prefix.Contains(address) {
			return nil
		}
	}
	return fmt.Errorf("reach the load balancer's address %s: no interface here is in its network; "+
		"run the tests with `make e2e`, which runs them on the client's side", address)
}

// Secret returns a value of a Secret of the stack.
func (s *Stack) Secret(ctx context.Context, name, key string) (string, error) {
	secret, err := s.Client.CoreV1().Secrets(Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read Secret %s: %w", name, err)
	}
	value, ok := secret.Data[key]
	if !ok {
		return "", fmt.Errorf("read Secret %s: it has no key %s", name, key)
	}
	return string(value), nil
}

// Run runs a program here, with the input if it is not nil, and returns what it prints on stdout. An error holds what
// it complains about; an *exec.ExitError within has its exit code.
func (s *Stack) Run(ctx context.Context, input io.Reader, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.Repository
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		shown := strings.Join(append([]string{name}, args...), " ")
		if len(shown) > 200 {
			shown = shown[:200] + "…"
		}
		return stdout.String(), fmt.Errorf("%s: %w: %s", shown, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Kubectl runs kubectl as people do: without a namespace, for the kubeconfig's context names it.
func (s *Stack) Kubectl(ctx context.Context, args ...string) (string, error) {
	return s.Run(ctx, nil, "kubectl", args...)
}

// Exec runs a command in a container; an empty container means the default one.
func (s *Stack) Exec(ctx context.Context, input io.Reader, pod, container string, command ...string) (string, error) {
	args := []string{"exec", "--namespace=" + Namespace, pod}
	if input != nil {
		args = append(args, "--stdin")
	}
	if container != "" {
		args = append(args, "--container="+container)
	}
	return s.Run(ctx, input, "kubectl", append(append(args, "--"), command...)...)
}

// Cluster runs a command of tools/cluster.
func (s *Stack) Cluster(ctx context.Context, args ...string) (string, error) {
	if len(s.Tool) == 0 {
		return "", errors.New("run tools/cluster: nobody said how; run the tests with `make e2e`")
	}
	return s.Run(ctx, nil, s.Tool[0], slices.Concat(s.Tool[1:], args)...)
}

// Pods returns the pods of a service that are not about to end.
func (s *Stack) Pods(ctx context.Context, service string) ([]corev1.Pod, error) {
	list, err := s.Client.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{LabelSelector: NameLabel + "=" + service})
	if err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", service, err)
	}
	// A stand-in for the service bears its label too, but belongs to no ReplicaSet.
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool {
		return pod.DeletionTimestamp != nil || metav1.GetControllerOf(&pod) == nil
	}), nil
}

// Pod returns the one pod of a service.
func (s *Stack) Pod(ctx context.Context, service string) (*corev1.Pod, error) {
	pods, err := s.Pods(ctx, service)
	if err != nil {
		return nil, err
	}
	if len(pods) != 1 {
		return nil, fmt.Errorf("find the pod of %s: there are %d", service, len(pods))
	}
	return &pods[0], nil
}

// AllPods returns every pod of the stack, those of its node's namespace included.
func (s *Stack) AllPods(ctx context.Context) ([]corev1.Pod, error) {
	var pods []corev1.Pod
	for _, namespace := range []string{Namespace, NodeNamespace} {
		list, err := s.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list the pods of namespace %s: %w", namespace, err)
		}
		for _, pod := range list.Items {
			if metav1.GetControllerOf(&pod) != nil {
				pods = append(pods, pod)
			}
		}
	}
	return pods, nil
}

// PodReady says whether a pod is Ready and not about to end.
func PodReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// Restarts is how often the kubelet has started containers of a pod again, init containers included.
func Restarts(pod *corev1.Pod) int32 {
	var count int32
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		count += status.RestartCount
	}
	return count
}

// Built says whether a service's image is in the cluster. Where it is not, its pod waits for it. A pod of which neither
// can be said yet is given a minute.
func (s *Stack) Built(ctx context.Context, service string) (bool, error) {
	built := false
	err := Until(ctx, "the pod of "+service+" to have its image or not", time.Minute, 300*time.Millisecond, func(ctx context.Context) error {
		pod, err := s.Pod(ctx, service)
		if err != nil {
			return err
		}
		for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if status.State.Running != nil || status.State.Terminated != nil || status.LastTerminationState.Terminated != nil {
				built = true
				return nil
			}
			if waiting := status.State.Waiting; waiting != nil {
				switch waiting.Reason {
				case "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff":
					return nil
				}
			}
		}
		return errors.New("none of its containers has begun")
	})
	return built, err
}

// Running returns the services whose images are in the cluster.
func (s *Stack) Running(ctx context.Context) ([]string, error) {
	var running []string
	for _, service := range Services {
		built, err := s.Built(ctx, service)
		if err != nil {
			return nil, err
		}
		if built {
			running = append(running, service)
		}
	}
	return running, nil
}

// Ready returns nil when a Deployment of the stack runs completely in its newest version, and no pod of an older one
// is left.
func (s *Stack) Ready(ctx context.Context, service string) error {
	deployment, err := s.Client.AppsV1().Deployments(Namespace).Get(ctx, service, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read Deployment %s: %w", service, err)
	}
	if !complete(deployment) {
		return fmt.Errorf("Deployment %s has %d of %d pods available", service, deployment.Status.AvailableReplicas, *deployment.Spec.Replicas)
	}
	pods, err := s.Pods(ctx, service)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if !PodReady(&pod) {
			return fmt.Errorf("pod %s is not Ready", pod.Name)
		}
	}
	if len(pods) != int(*deployment.Spec.Replicas) {
		return fmt.Errorf("Deployment %s has %d pods", service, len(pods))
	}
	return nil
}

func complete(d *appsv1.Deployment) bool {
	want := *d.Spec.Replicas
	return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == want &&
		d.Status.AvailableReplicas == want && d.Status.Replicas == want
}

// WaitReady waits until services are Ready; without any, all whose images are in the cluster.
func (s *Stack) WaitReady(ctx context.Context, bound time.Duration, services ...string) error {
	if len(services) == 0 {
		var err error
		if services, err = s.Running(ctx); err != nil {
			return err
		}
	}
	return Until(ctx, strings.Join(services, ", ")+" to be Ready", bound, 500*time.Millisecond, func(ctx context.Context) error {
		var errs []error
		for _, service := range services {
			errs = append(errs, s.Ready(ctx, service))
		}
		return errors.Join(errs...)
	})
}

// Until calls done every interval until it returns nil or the bound is over; then the error says what was waited for
// and what was last in the way.
func Until(ctx context.Context, what string, bound, interval time.Duration, done func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	var last error
	for {
		err := done(bounded)
		if err == nil {
			return nil
		}
		// What the bound itself interrupted says nothing about the cause.
		if last == nil || bounded.Err() == nil {
			last = err
		}
		select {
		case <-time.After(interval):
		case <-bounded.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
			}
			return fmt.Errorf("wait for %s: not within %s: %w", what, bound, last)
		}
	}
}

// URL is an address of the stack: port 0 is the scheme's own, path begins with a slash.
func (s *Stack) URL(scheme string, port int, path string) string {
	host := s.Address.String()
	if port != 0 {
		host = net.JoinHostPort(host, fmt.Sprint(port))
	}
	return scheme + "://" + host + path
}

// TLS is what a client that knows the stack's authority trusts. The certificate names the address.
func (s *Stack) TLS() *tls.Config {
	return &tls.Config{RootCAs: s.Authority, ServerName: s.Address.String(), MinVersion: tls.VersionTLS12}
}

// Browser is an HTTP client that knows the stack's authority and keeps cookies. It follows no redirect and makes a new
// connection each time, so that every request meets the load balancer anew.
func (s *Stack) Browser() *http.Client {
	// Without options it cannot fail.
	jar, _ := cookiejar.New(nil)
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: s.TLS(), DisableKeepAlives: true, ForceAttemptHTTP2: true},
		Jar:       jar,
		Timeout:   30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// Answer is a response that has been read.
type Answer struct {
	Code   int
	Header http.Header
	Body   string
}

// Do sends a request and reads the answer.
func Do(client *http.Client, request *http.Request) (Answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: read the answer: %w", request.Method, request.URL, err)
	}
	return Answer{response.StatusCode, response.Header, string(body)}, nil
}

// Get asks for a page.
func Get(ctx context.Context, client *http.Client, url string) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Answer{}, err
	}
	return Do(client, request)
}

// Post sends a body.
func Post(ctx context.Context, client *http.Client, url, contentType string, body io.Reader) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Content-Type", contentType)
	return Do(client, request)
}

// ReadFile reads a file of the repository.
func (s *Stack) ReadFile(path ...string) ([]byte, error) {
	return os.ReadFile(filepath.Join(append([]string{s.Repository}, path...)...))
}
