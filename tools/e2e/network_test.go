package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ft-services/ft-services/tools/e2e/internal/ask"
	"github.com/ft-services/ft-services/tools/e2e/internal/reach"
	"github.com/ft-services/ft-services/tools/e2e/internal/stack"
	"github.com/ft-services/ft-services/tools/e2e/internal/standin"
)

func networkChecks() []check {
	return []check{
		{"R5 B3", "MySQL and InfluxDB cannot be reached from outside", databasesAreInside},
		{"B2 G10", "no node port is open on the node", noNodePort},
		{"R4 R5", "the flows between pods, and out of them, are exactly those of the table", flowsAreThoseOfTheTable},
		{"R4 R5", "a rule that is taken away closes its flow, and no other", rulesAreEnforced},
	}
}

// Names in the flow table of what is not a service.
const (
	stranger   = "stranger" // a pod of a namespace without any policy
	nameServer = "the name server"
	apiServer  = "the API server"
	kubelet    = "the kubelet"
	world      = "the world"
)

// flows are the ports that may be reached, by source and target: what is not here must be dropped.
func flows() map[string]map[string][]int32 {
	passive := make([]int32, 40)
	for i := range passive {
		passive[i] = 21100 + int32(i)
	}
	table := map[string]map[string][]int32{
		"nginx":      {"phpmyadmin": {5000}},
		"ftps":       {},
		"wordpress":  {"mysql": {3306}},
		"phpmyadmin": {"mysql": {3306}},
		"mysql":      {},
		"grafana":    {"influxdb": {8086}},
		"influxdb":   {},
		// The API server's address is not known to the manifests: its ports are allowed towards everybody, and nginx
		// answers everybody on 443.
		"telegraf": {
			"nginx": {8080, 443}, "wordpress": {8080}, "phpmyadmin": {8080}, "ftps": {21, 9273}, "mysql": {3306},
			"influxdb": {8086}, "grafana": {3000}, "telegraf-node": {9273}, apiServer: {443}, kubelet: {10250},
		},
		"credentials": {"nginx": {443}, apiServer: {443}},
		stranger: {
			"nginx": {80, 443}, "wordpress": {5050}, "phpmyadmin": {5000}, "grafana": {3000},
			"ftps": append([]int32{21}, passive...), apiServer: {443}, kubelet: {10250}, world: {0},
		},
	}
	for _, targets := range table {
		targets[nameServer] = []int32{53}
	}
	return table
}

// undeclared are ports that no policy opens; on 3307 mysqld does listen.
var undeclared = map[string][]int32{"mysql": {9, 3307}}

type destination struct {
	name, network, host string
	port                int32
}

func (t *test) nodeAddresses() []string {
	t.Helper()
	nodes, err := t.stack.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var found []string
	for _, node := range nodes.Items {
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				found = append(found, address.Address)
			}
		}
	}
	require.NotEmpty(t, found)
	return found
}

// outside tries TCP ports from this process. The first, which must be open, shows that packets get there at all.
func (t *test) outside(host string, open int, closed ...int) {
	t.Helper()
	var targets []ask.Target
	for _, port := range append([]int{open}, closed...) {
		targets = append(targets, ask.Target{Network: "tcp", Address: net.JoinHostPort(host, fmt.Sprint(port))})
	}
	reached := reach.All(t.Context(), targets, time.Second, 256)
	require.Equal(t, ask.Open, reached[0], targets[0].Address)
	for i, target := range targets[1:] {
		assert.Contains(t, []ask.Reached{ask.Refused, ask.Dropped}, reached[i+1], target.Address)
	}
}

func databasesAreInside(t *test) {
	t.waitReady(time.Minute, "nginx", "mysql", "influxdb")
	t.outside(t.stack.Address.String(), 443, 3306, 3307, 8086)
	for _, address := range t.nodeAddresses() {
		t.outside(address, 10250, 3306, 3307, 8086)
	}
}

func noNodePort(t *test) {
	var ports []int
	for port := 30000; port <= 32767; port++ {
		ports = append(ports, port)
	}
	for _, address := range t.nodeAddresses() {
		t.outside(address, 10250, ports...)
	}
}

// standIns makes several stand-ins at once.
func (t *test) standIns(services ...string) map[string]*standin.Pod {
	t.Helper()
	image, err := t.image()
	require.NoError(t, err)
	namespace := ""
	if slices.Contains(services, stranger) {
		namespace = t.namespace("ft-services-e2e-stranger")
	}
	pods := map[string]*standin.Pod{}
	var mu sync.Mutex
	t.Cleanup(func() {
		var all sync.WaitGroup
		for _, pod := range pods {
			all.Go(func() { assert.NoError(t, pod.Stop(context.Background())) })
		}
		all.Wait()
	})
	var errs []error
	var all sync.WaitGroup
	for _, service := range services {
		all.Go(func() {
			var pod *standin.Pod
			var err error
			if service == stranger {
				pod, err = standin.StartStranger(t.Context(), t.stack, image, namespace)
			} else {
				pod, err = standin.Start(t.Context(), t.stack, image, service)
			}
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			if pod != nil {
				pods[service] = pod
			}
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	return pods
}

// namespace makes a namespace that lasts as long as the check.
func (t *test) namespace(name string) string {
	t.Helper()
	namespaces := t.stack.Client.CoreV1().Namespaces()
	t.later(func(t *test) {
		assert.NoError(t, namespaces.Delete(t.Context(), name, metav1.DeleteOptions{}))
		assert.NoError(t, stack.Until(t.Context(), "namespace "+name+" to be gone", time.Minute, 300*time.Millisecond, func(ctx context.Context) error {
			if _, err := namespaces.Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return errors.Join(err, errors.New("it is still there"))
			}
			return nil
		}))
	})
	_, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		require.NoError(t, err)
	}
	return name
}

// destinations are all declared ports of all pods of the stack that run, some that are not declared, and what else
// pods may want to reach.
func (t *test) destinations() []destination {
	t.Helper()
	var found []destination
	running := append(t.running(), "credentials", "telegraf-node")
	pods, err := t.stack.AllPods(t.Context())
	require.NoError(t, err)
	for _, pod := range pods {
		name := pod.Labels[stack.NameLabel]
		if !slices.Contains(running, name) || pod.DeletionTimestamp != nil {
			continue
		}
		ports := []int32{9}
		if more, ok := undeclared[name]; ok {
			ports = more
		}
		for _, container := range pod.Spec.Containers {
			for _, port := range container.Ports {
				ports = append(ports, port.ContainerPort)
			}
		}
		for _, port := range ports {
			found = append(found, destination{name, "tcp", pod.Status.PodIP, port})
		}
	}
	for _, known := range []struct{ namespace, service, name, network string }{
		{"kube-system", "kube-dns", nameServer, "udp"},
		{"kube-system", "kube-dns", nameServer, "tcp"},
		{"default", "kubernetes", apiServer, "tcp"},
	} {
		service, err := t.stack.Client.CoreV1().Services(known.namespace).Get(t.Context(), known.service, metav1.GetOptions{})
		require.NoError(t, err)
		port := int32(53)
		if known.name == apiServer {
			port = 443
		}
		found = append(found, destination{known.name, known.network, service.Spec.ClusterIP, port})
	}
	for _, address := range t.nodeAddresses() {
		found = append(found, destination{kubelet, "tcp", address, 10250})
	}
	return found
}

// listen opens a UDP port of this process in the cluster's network, and says whether anything has arrived there. A TCP
// connection would need a way back too, which not every cluster has.
func (t *test) listen() (address string, arrived *atomic.Bool) {
	t.Helper()
	// Nothing is sent; it only makes the kernel choose the address.
	route, err := net.Dial("udp", net.JoinHostPort(t.stack.Address.String(), "9"))
	require.NoError(t, err)
	host, _, err := net.SplitHostPort(route.LocalAddr().String())
	require.NoError(t, errors.Join(err, route.Close()))
	listener, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, listener.Close()) })
	arrived = &atomic.Bool{}
	go func() {
		for {
			if _, _, err := listener.ReadFrom(make([]byte, 512)); err != nil {
				return
			}
			arrived.Store(true)
		}
	}()
	return listener.LocalAddr().String(), arrived
}

// source is a stand-in whose flows are tried.
type source struct {
	name         string
	pod          *standin.Pod
	destinations []destination
	// world is a port of this process for this source alone, since pods may all come from the node's address.
	world   string
	arrived *atomic.Bool
}

func (t *test) source(name string, pod *standin.Pod, destinations []destination) source {
	t.Helper()
	address, arrived := t.listen()
	return source{name, pod, destinations, address, arrived}
}

// wrong are the flows that are not as the table has them.
func (s source) wrong(ctx context.Context) ([]string, error) {
	targets := []ask.Target{{Network: "udp", Address: s.world}}
	for _, d := range s.destinations {
		targets = append(targets, ask.Target{Network: d.network, Address: net.JoinHostPort(d.host, fmt.Sprint(d.port))})
	}
	s.arrived.Store(false)
	// Time for a lost packet to be sent again.
	reached, err := s.pod.Dial(ctx, 2*time.Second, targets...)
	if err != nil {
		return nil, err
	}
	if s.arrived.Load() {
		reached[0] = ask.Open
	}
	allowed := flows()[s.name]
	var wrong []string
	for i, d := range append([]destination{{name: world, network: "udp"}}, s.destinations...) {
		want := []ask.Reached{ask.Dropped}
		if slices.Contains(allowed[d.name], d.port) {
			want = []ask.Reached{ask.Open}
			if d.name == "ftps" && d.port > 21000 {
				// Nobody listens there between transfers.
				want = append(want, ask.Refused)
			}
		}
		if !slices.Contains(want, reached[i]) {
			wrong = append(wrong, fmt.Sprintf("%s to %s %s/%d: %s, not %s", s.name, d.name, d.network, d.port, reached[i], want[0]))
		}
	}
	return wrong, nil
}

// until waits until the wrong flows are those that are wanted: what is new takes the policies a moment.
func (s source) until(ctx context.Context, wanted ...string) error {
	return stack.Until(ctx, "the flows of "+s.name, 30*time.Second, 500*time.Millisecond, func(ctx context.Context) error {
		wrong, err := s.wrong(ctx)
		if err == nil && !slices.Equal(wrong, wanted) {
			err = fmt.Errorf("\n%s", strings.Join(wrong, "\n"))
		}
		return err
	})
}

func flowsAreThoseOfTheTable(t *test) {
	t.waitReady(2 * time.Minute)
	pods := t.standIns(slices.Collect(maps.Keys(flows()))...)
	destinations := t.destinations()
	require.Greater(t, len(destinations), 60)
	errs := make(chan error, len(pods))
	for name, pod := range pods {
		from := t.source(name, pod, destinations)
		go func() { errs <- from.until(t.Context()) }()
	}
	for range pods {
		assert.NoError(t, <-errs)
	}
	t.report.Measure("Network", "flows tried, each as the table has it", fmt.Sprint(len(pods)*(len(destinations)+1)))
}

// rulesAreEnforced shows that the table above is not true by accident.
func rulesAreEnforced(t *test) {
	t.waitReady(2*time.Minute, "mysql", "wordpress")
	from := t.source("wordpress", t.standIn("wordpress"), t.destinations())
	require.NoError(t, from.until(t.Context()))

	policies := t.stack.Client.NetworkingV1().NetworkPolicies(stack.Namespace)
	original, err := policies.Get(t.Context(), "mysql", metav1.GetOptions{})
	require.NoError(t, err)
	changed := original.DeepCopy()
	peers := &changed.Spec.Ingress[0].From
	*peers = slices.DeleteFunc(*peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		return peer.PodSelector.MatchLabels[stack.NameLabel] == "wordpress"
	})
	require.Len(t, *peers, 2)
	t.later(func(t *test) {
		t.kubectl("apply", "--kustomize="+t.stack.Overlay)
		restored, err := policies.Get(t.Context(), "mysql", metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, original.Spec, restored.Spec)
		assert.NoError(t, from.until(t.Context()))
		t.waitReady(time.Minute, "wordpress")
	})
	_, err = policies.Update(t.Context(), changed, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.NoError(t, from.until(t.Context(), "wordpress to mysql tcp/3306: dropped, not open"))
}
