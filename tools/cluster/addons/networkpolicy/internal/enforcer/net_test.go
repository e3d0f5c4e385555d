//go:build nettest

// These tests need root and the programs ip and nft. They send only within network namespaces of their own:
//
//	go test -tags nettest ./networkpolicy/...
package enforcer_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/knftables"

	"github.com/ft-services/ft-services/tools/cluster/addons/networkpolicy/internal/enforcer"
	"github.com/ft-services/ft-services/tools/cluster/addons/networkpolicy/internal/overlaytest"
	"github.com/ft-services/ft-services/tools/cluster/addons/networkpolicy/internal/rules"
)

// soon is how long a change may take to reach the packets.
const soon = 2 * time.Second

// network is a node with a bridge of pods on one side and a client on the other, and its cluster's API.
type network struct {
	node, outside namespace
	client        *fake.Clientset
	pods          map[string]namespace
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{node: newNamespace(t), outside: newNamespace(t), client: fake.NewClientset(), pods: map[string]namespace{}}
	n.node.run(t, "ip", "link", "add", "cni0", "type", "bridge")
	n.node.run(t, "ip", "addr", "add", "10.244.0.1/24", "dev", "cni0")
	n.node.run(t, "ip", "link", "set", "cni0", "up")
	n.node.set(t, "/proc/sys/net/ipv4/ip_forward", "1")
	n.node.run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", n.outside.path())
	n.node.run(t, "ip", "addr", "add", overlaytest.NodeAddress+"/24", "dev", "eth0")
	n.node.run(t, "ip", "link", "set", "eth0", "up")
	for _, address := range []string{overlaytest.OutsideAddress, "192.168.49.3"} {
		n.outside.run(t, "ip", "addr", "add", address+"/24", "dev", "eth0")
	}
	n.outside.run(t, "ip", "link", "set", "eth0", "up")
	n.outside.run(t, "ip", "route", "add", "10.244.0.0/24", "via", overlaytest.NodeAddress)
	for _, name := range []string{"a", "b"} {
		n.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}})
	}
	return n
}

// plug makes a pod's network namespace, as the CNI plugin does, before the API knows of it.
func (n *network) plug(t *testing.T, address string) namespace {
	t.Helper()
	pod := newNamespace(t)
	port := "veth" + address[strings.LastIndex(address, ".")+1:]
	n.node.run(t, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", pod.path())
	n.node.run(t, "ip", "link", "set", port, "master", "cni0")
	n.node.run(t, "ip", "link", "set", port, "type", "bridge_slave", "hairpin", "on")
	n.node.run(t, "ip", "link", "set", port, "up")
	pod.run(t, "ip", "addr", "add", address+"/24", "dev", "eth0")
	pod.run(t, "ip", "link", "set", "eth0", "up")
	pod.run(t, "ip", "route", "add", "default", "via", "10.244.0.1")
	n.pods[address] = pod
	return pod
}

// pod plugs a pod that echoes on the ports of its containers, and tells the API.
func (n *network) pod(t *testing.T, namespaceName, name, address string, labels map[string]string, ports ...corev1.ContainerPort) namespace {
	t.Helper()
	pod := n.plug(t, address)
	for _, port := range ports {
		listen(t, pod, port.Protocol, fmt.Sprintf("%s:%d", address, port.ContainerPort))
	}
	n.create(t, podObject(namespaceName, name, address, labels, ports...))
	return pod
}

func listen(t *testing.T, in namespace, protocol corev1.Protocol, address string) {
	t.Helper()
	if protocol == corev1.ProtocolUDP {
		in.listenUDP(t, address)
	} else {
		in.listenTCP(t, address)
	}
}

func podObject(namespaceName, name, address string, labels map[string]string, ports ...corev1.ContainerPort) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespaceName, Name: name, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: name, Ports: ports}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: address},
	}
}

func (n *network) create(t *testing.T, object any) {
	t.Helper()
	var err error
	switch o := object.(type) {
	case *corev1.Pod:
		_, err = n.client.CoreV1().Pods(o.Namespace).Create(t.Context(), o, metav1.CreateOptions{})
	case *corev1.Namespace:
		_, err = n.client.CoreV1().Namespaces().Create(t.Context(), o, metav1.CreateOptions{})
	case *networkingv1.NetworkPolicy:
		_, err = n.client.NetworkingV1().NetworkPolicies(o.Namespace).Create(t.Context(), o, metav1.CreateOptions{})
	}
	require.NoError(t, err)
}

// policy applies a policy of namespace a.
func (n *network) policy(t *testing.T, name, spec string) {
	t.Helper()
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}}
	text, err := yaml.ToJSON([]byte(spec))
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(text, &policy.Spec))
	n.create(t, policy)
}

func (n *network) remove(t *testing.T, name string) {
	t.Helper()
	require.NoError(t, n.client.NetworkingV1().NetworkPolicies("a").Delete(t.Context(), name, metav1.DeleteOptions{}))
}

// enforce runs the controller in the node's namespace until the test ends or stop is called.
func (n *network) enforce(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- n.node.do(func() error {
			if err := enforcer.FilterBridges(enforcer.BridgeSettings); err != nil {
				return err
			}
			nft, err := knftables.New(rules.Family, rules.Table)
			if err != nil {
				return err
			}
			return enforcer.New(n.client, nft, overlaytest.Node).Run(ctx)
		})
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				assert.NoError(t, err)
			case <-time.After(10 * time.Second):
				t.Error("the controller did not end")
			}
		})
	}
	t.Cleanup(stop)
	pods, err := n.client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	within(t, "the first rules", func() bool {
		known := n.try("nft", "list", "set", "inet", rules.Table, "pods")
		for _, pod := range pods.Items {
			if !strings.Contains(known, pod.Status.PodIP) {
				return false
			}
		}
		return known != ""
	})
	return stop
}

// try runs a program in the node's namespace and returns nothing if it fails.
func (n *network) try(name string, args ...string) string {
	var output []byte
	if n.node.do(func() (err error) {
		output, err = exec.Command(name, args...).Output()
		return err
	}) != nil {
		return ""
	}
	return string(output)
}

// within waits for a change to take effect.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	start := time.Now()
	for !holds() {
		// A denied connection takes half a second to be seen as such.
		if time.Since(start) > soon+time.Second {
			t.Fatalf("%s: not within %s", what, time.Since(start))
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("%s: after %s", what, time.Since(start).Round(time.Millisecond))
}

func TestMain(m *testing.M) {
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			fmt.Fprintf(os.Stderr, "these tests need the program %s: install iproute2 and nftables\n", program)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

var (
	clientLabels = map[string]string{"role": "client"}
	serverLabels = map[string]string{"role": "server"}
	web          = corev1.ContainerPort{Name: "web", ContainerPort: 8080}
	names        = corev1.ContainerPort{Name: "names", ContainerPort: 5353, Protocol: corev1.ProtocolUDP}
	plain        = corev1.ContainerPort{ContainerPort: 9000}
)

const denyAll = `{podSelector: {}, policyTypes: [Ingress, Egress]}`

func TestRulesComeAndGo(t *testing.T) {
	n := newNetwork(t)
	client := n.pod(t, "a", "client", "10.244.0.10", clientLabels)
	server := n.pod(t, "a", "server", "10.244.0.11", serverLabels, web, names, plain)
	// Without this, packets between two pods of the bridge would pass unseen.
	n.node.set(t, "/proc/sys/net/bridge/bridge-nf-call-iptables", "0")
	n.enforce(t)
	within(t, "without a policy everything is allowed", func() bool { return client.reaches(t, "tcp", "10.244.0.11:8080") })
	require.True(t, client.reaches(t, "udp", "10.244.0.11:5353"))

	n.policy(t, "default-deny", denyAll)
	within(t, "default deny", func() bool { return !client.reaches(t, "tcp", "10.244.0.11:8080") })
	assert.False(t, client.reaches(t, "udp", "10.244.0.11:5353"))
	assert.True(t, n.node.reaches(t, "tcp", "10.244.0.11:8080"), "probes of the kubelet")

	n.policy(t, "server", `{podSelector: {matchLabels: {role: server}}, ingress: [
		{from: [{podSelector: {matchLabels: {role: client}}}], ports: [{port: web}, {port: names, protocol: UDP}]}]}`)
	time.Sleep(soon / 2)
	assert.False(t, client.reaches(t, "tcp", "10.244.0.11:8080"), "ingress alone is not enough")
	n.policy(t, "client", `{podSelector: {matchLabels: {role: client}}, policyTypes: [Egress], egress: [
		{to: [{podSelector: {matchLabels: {role: server}}}], ports: [{port: web}, {port: names, protocol: UDP}]}]}`)
	within(t, "both allow", func() bool { return client.reaches(t, "tcp", "10.244.0.11:8080") })
	assert.True(t, client.reaches(t, "udp", "10.244.0.11:5353"))
	assert.False(t, client.reaches(t, "tcp", "10.244.0.11:9000"), "another port")
	assert.False(t, server.reaches(t, "tcp", "10.244.0.10:8080"), "the other way")

	kept, err := client.dial("tcp", "", "10.244.0.11:8080", time.Second)
	require.NoError(t, err)
	require.NotNil(t, kept)
	defer kept.Close()
	n.remove(t, "server")
	within(t, "an allow rule is removed", func() bool { return !client.reaches(t, "tcp", "10.244.0.11:8080") })
	assert.NoError(t, echo(kept, time.Second), "an established connection survives the new table")

	n.remove(t, "client")
	n.remove(t, "default-deny")
	within(t, "the last policy is removed", func() bool { return client.reaches(t, "tcp", "10.244.0.11:9000") })
}

func TestNamespacesAndLabels(t *testing.T) {
	n := newNetwork(t)
	server := n.pod(t, "a", "server", "10.244.0.11", serverLabels, web)
	friend := n.pod(t, "b", "friend", "10.244.0.20", clientLabels)
	stranger := n.pod(t, "b", "stranger", "10.244.0.21", nil)
	neighbour := n.pod(t, "a", "neighbour", "10.244.0.12", clientLabels)
	_ = server
	n.policy(t, "server", `{podSelector: {matchLabels: {role: server}}, ingress: [{from: [
		{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {role: client}}}], ports: [{port: 8000, endPort: 8090}]}]}`)
	n.enforce(t)
	within(t, "a pod of the other namespace", func() bool { return friend.reaches(t, "tcp", "10.244.0.11:8080") })
	assert.False(t, stranger.reaches(t, "tcp", "10.244.0.11:8080"), "without the label")
	assert.False(t, neighbour.reaches(t, "tcp", "10.244.0.11:8080"), "of the policy's own namespace")

	pods := n.client.CoreV1().Pods("b")
	_, err := pods.Update(t.Context(), podObject("b", "stranger", "10.244.0.21", clientLabels), metav1.UpdateOptions{})
	require.NoError(t, err)
	within(t, "a pod gets the label", func() bool { return stranger.reaches(t, "tcp", "10.244.0.11:8080") })
	_, err = n.client.CoreV1().Namespaces().Update(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "b"}}, metav1.UpdateOptions{})
	require.NoError(t, err)
	within(t, "the namespace loses its label", func() bool { return !friend.reaches(t, "tcp", "10.244.0.11:8080") })
}

// Services as kube-proxy makes them: a cluster address and one for clients outside, whose packets are
// masqueraded (externalTrafficPolicy Cluster).
func TestServices(t *testing.T) {
	n := newNetwork(t)
	client := n.pod(t, "a", "client", "10.244.0.10", clientLabels)
	server := n.pod(t, "a", "server", "10.244.0.11", serverLabels, web)
	n.pod(t, "a", "plain", "10.244.0.12", nil, plain)
	n.node.run(t, "nft", `
		add table ip proxy
		add chain ip proxy pre { type nat hook prerouting priority dstnat; }
		add rule ip proxy pre ip daddr 10.96.0.10 tcp dport 443 dnat to 10.244.0.11:8080
		add rule ip proxy pre ip daddr 10.96.0.11 tcp dport 443 dnat to 10.244.0.12:9000
		add rule ip proxy pre ip daddr 192.168.49.240 tcp dport 80 meta mark set 0x4000 dnat to 10.244.0.11:8080
		add chain ip proxy post { type nat hook postrouting priority srcnat; }
		add rule ip proxy post meta mark 0x4000 masquerade
		add rule ip proxy post ip saddr 10.244.0.11 ip daddr 10.244.0.11 masquerade`)
	n.outside.run(t, "ip", "route", "add", "192.168.49.240", "via", overlaytest.NodeAddress)
	n.policy(t, "default-deny", denyAll)
	n.policy(t, "client", `{podSelector: {matchLabels: {role: client}}, policyTypes: [Egress], egress: [
		{to: [{podSelector: {matchLabels: {role: server}}}], ports: [{port: web}]}]}`)
	n.policy(t, "server", `{podSelector: {matchLabels: {role: server}}, ingress: [{ports: [{port: web}], from: [
		{podSelector: {matchLabels: {role: client}}},
		{ipBlock: {cidr: 192.168.49.0/24, except: [192.168.49.3/32]}}]}]}`)
	n.policy(t, "plain", `{podSelector: {}, ingress: [{}]}`)
	n.enforce(t)
	within(t, "a Service is judged by its pod and port", func() bool { return client.reaches(t, "tcp", "10.96.0.10:443") })
	assert.False(t, client.reaches(t, "tcp", "10.96.0.11:443"), "a Service of another pod")
	assert.True(t, server.reaches(t, "tcp", "10.96.0.10:443"), "a pod through a Service to itself")

	n.remove(t, "plain")
	within(t, "from outside, an address that is excepted", func() bool {
		return !n.outside.reachesFrom(t, "tcp", "192.168.49.3", "192.168.49.240:80")
	})
	assert.True(t, n.outside.reachesFrom(t, "tcp", overlaytest.OutsideAddress, "192.168.49.240:80"), "from outside, an allowed address")
}

func TestNodeAndWorld(t *testing.T) {
	n := newNetwork(t)
	client := n.pod(t, "a", "client", "10.244.0.10", clientLabels)
	listen(t, n.node, "", overlaytest.NodeAddress+":6443")
	listen(t, n.node, "", overlaytest.NodeAddress+":10250")
	listen(t, n.outside, "", overlaytest.OutsideAddress+":80")
	listen(t, n.outside, "", "192.168.49.3:80")
	n.policy(t, "client", `{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 6443}]},
		{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [192.168.49.2/31]}}], ports: [{port: 80}]}]}`)
	n.enforce(t)
	within(t, "the API server", func() bool { return client.reaches(t, "tcp", overlaytest.NodeAddress+":6443") })
	assert.False(t, client.reaches(t, "tcp", overlaytest.NodeAddress+":10250"), "the kubelet")
	assert.True(t, client.reaches(t, "tcp", overlaytest.OutsideAddress+":80"), "outside")
	assert.False(t, client.reaches(t, "tcp", "192.168.49.3:80"), "outside, excepted")
	assert.True(t, n.outside.reaches(t, "tcp", overlaytest.NodeAddress+":10250"), "the node from outside is not a pod's affair")
}

func TestAPodThatStarts(t *testing.T) {
	n := newNetwork(t)
	client := n.pod(t, "b", "client", "10.244.0.10", clientLabels)
	n.enforce(t)
	n.pod(t, "b", "other", "10.244.0.11", nil, web)
	within(t, "a pod that is known", func() bool { return client.reaches(t, "tcp", "10.244.0.11:8080") })

	starting := n.plug(t, "10.244.0.30")
	starting.listenTCP(t, "10.244.0.30:8080")
	assert.False(t, starting.reaches(t, "tcp", "10.244.0.11:8080"), "before the API says whose address it is")
	assert.False(t, client.reaches(t, "tcp", "10.244.0.30:8080"), "before the API says whose address it is")
	assert.True(t, n.node.reaches(t, "tcp", "10.244.0.30:8080"), "the kubelet's first probe")
	n.create(t, podObject("b", "starting", "10.244.0.30", nil))
	within(t, "a pod starts", func() bool { return starting.reaches(t, "tcp", "10.244.0.11:8080") })

	require.NoError(t, n.client.CoreV1().Pods("b").Delete(t.Context(), "starting", metav1.DeleteOptions{}))
	within(t, "a pod is gone", func() bool { return !starting.reaches(t, "tcp", "10.244.0.11:8080") })
}

func TestRestart(t *testing.T) {
	n := newNetwork(t)
	client := n.pod(t, "a", "client", "10.244.0.10", clientLabels)
	n.pod(t, "a", "server", "10.244.0.11", serverLabels, web, plain)
	n.policy(t, "server", `{podSelector: {}, ingress: [{ports: [{port: web}]}]}`)
	stop := n.enforce(t)
	within(t, "enforced", func() bool { return client.reaches(t, "tcp", "10.244.0.11:8080") })
	stop()
	assert.True(t, client.reaches(t, "tcp", "10.244.0.11:8080"), "the rules outlive the program")
	assert.False(t, client.reaches(t, "tcp", "10.244.0.11:9000"), "the rules outlive the program")

	stop = n.enforce(t)
	for range 3 {
		assert.True(t, client.reaches(t, "tcp", "10.244.0.11:8080"), "a restart closes nothing")
	}
	stop()
	for range 2 {
		require.NoError(t, n.node.do(func() error {
			nft, err := knftables.New(rules.Family, rules.Table)
			if err != nil {
				return err
			}
			return enforcer.Cleanup(t.Context(), nft)
		}))
	}
	assert.True(t, client.reaches(t, "tcp", "10.244.0.11:9000"), "after the clean-up")
	assert.Empty(t, n.node.run(t, "nft", "list", "tables"))
}

func TestOnlyItsOwnTable(t *testing.T) {
	n := newNetwork(t)
	n.node.run(t, "nft", "add table inet somebody; add chain inet somebody work { type filter hook forward priority 0; }")
	before := n.node.run(t, "nft", "list", "table", "inet", "somebody")
	client := n.pod(t, "b", "client", "10.244.0.10", nil)
	n.pod(t, "b", "server", "10.244.0.11", nil, web)
	n.enforce(t)
	within(t, "enforced", func() bool { return client.reaches(t, "tcp", "10.244.0.11:8080") })
	assert.Equal(t, before, n.node.run(t, "nft", "list", "table", "inet", "somebody"))
	assert.Equal(t, []string{"table inet somebody", "table inet networkpolicy"},
		strings.Split(strings.TrimSpace(n.node.run(t, "nft", "list", "tables")), "\n"))
}

func TestLinkLocalIPv6(t *testing.T) {
	n := newNetwork(t)
	client := n.pod(t, "b", "client", "10.244.0.10", nil)
	server := n.pod(t, "b", "server", "10.244.0.11", nil, web)
	address, _ := linkLocal(t, server)
	_, zone := linkLocal(t, client)
	listen(t, server, "", "[::]:8081")
	target := fmt.Sprintf("[%s%%%d]:8081", address, zone)
	within(t, "without the program it is a way around every policy", func() bool { return client.reaches(t, "tcp", target) })
	n.enforce(t)
	within(t, "closed", func() bool { return !client.reaches(t, "tcp", target) })
}

// linkLocal waits for a pod's link-local address and returns it with the number of its interface, which
// is safer than the name: package net remembers which number a name had, in whatever namespace.
func linkLocal(t *testing.T, pod namespace) (address string, zone int) {
	t.Helper()
	within(t, "a link-local address", func() bool {
		for _, field := range strings.Fields(pod.run(t, "ip", "-6", "addr", "show", "dev", "eth0", "scope", "link", "-tentative")) {
			if ip, _, err := net.ParseCIDR(field); err == nil {
				address = ip.String()
			}
		}
		return address != ""
	})
	require.NoError(t, pod.do(func() error {
		link, err := net.InterfaceByName("eth0")
		if err == nil {
			zone = link.Index
		}
		return err
	}))
	return address, zone
}

// Every flow of the overlay's own policies, with real packets.
func TestOverlay(t *testing.T) {
	cluster, err := overlaytest.Load()
	require.NoError(t, err)
	n := newNetwork(t)
	at := map[string]namespace{overlaytest.NodeName: n.node, overlaytest.OutsideName: n.outside}
	address := map[string]string{overlaytest.NodeName: overlaytest.NodeAddress}
	for _, object := range cluster.Namespaces {
		n.create(t, object)
	}
	for _, object := range cluster.Policies {
		n.create(t, object)
	}
	for _, port := range overlaytest.NodePorts() {
		listen(t, n.node, port.Protocol, fmt.Sprintf("%s:%d", overlaytest.NodeAddress, port.Number))
	}
	for _, pod := range cluster.Pods {
		at[pod.Name] = n.plug(t, pod.Status.PodIP)
		address[pod.Name] = pod.Status.PodIP
		for _, port := range overlaytest.Ports(pod) {
			listen(t, at[pod.Name], port.Protocol, fmt.Sprintf("%s:%d", pod.Status.PodIP, port.Number))
		}
		n.create(t, pod)
	}
	n.enforce(t)
	within(t, "enforced", func() bool { return at["wordpress"].reaches(t, "tcp", address["mysql"]+":3306") })

	allowed := overlaytest.Allowed(cluster)
	slots := make(chan struct{}, 64)
	var all sync.WaitGroup
	var mutex sync.Mutex
	counts := map[bool]int{}
	for _, flow := range overlaytest.Flows(cluster) {
		// The passive ports are one range.
		if flow.Port.Number > 21101 && flow.Port.Number < 21139 {
			continue
		}
		all.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; all.Done() }()
			conn, err := at[flow.From].dial(strings.ToLower(string(flow.Port.Protocol)), "",
				fmt.Sprintf("%s:%d", address[flow.To], flow.Port.Number), 1500*time.Millisecond)
			mutex.Lock()
			defer mutex.Unlock()
			assert.NoError(t, err, flow.String())
			assert.Equal(t, allowed[flow], conn != nil, flow.String())
			counts[conn != nil]++
			if conn != nil {
				conn.Close()
			}
		}()
	}
	all.Wait()
	t.Logf("%d flows went through, %d did not", counts[true], counts[false])
}
