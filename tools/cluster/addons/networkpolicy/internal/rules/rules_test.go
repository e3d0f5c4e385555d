package rules_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/knftables"

	"github.com/ft-services/ft-services/tools/cluster/addons/networkpolicy/internal/overlaytest"
	"github.com/ft-services/ft-services/tools/cluster/addons/networkpolicy/internal/rules"
)

var update = flag.Bool("update", false, "write the golden files")

// build runs the transaction for a cluster against a fake nftables.
func build(t *testing.T, cluster rules.Cluster) (*knftables.Fake, error) {
	t.Helper()
	nft := knftables.NewFake(rules.Family, rules.Table)
	tx := nft.NewTransaction()
	problems := rules.Build(tx, overlaytest.Node, cluster)
	require.NoError(t, nft.Run(t.Context(), tx))
	return nft, problems
}

func makePod(namespace, name, address string, labels map[string]string, ports ...corev1.ContainerPort) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Ports: ports}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: address},
	}
}

// The cluster of the table tests: two namespaces with a client and a server each.
//
//	ns a: client 10.244.0.10, server 10.244.0.11 (web=8080/tcp, dns=5353/udp)
//	ns b: client 10.244.0.20, server 10.244.0.21 (web=9090/tcp)
func smallCluster() rules.Cluster {
	client, server := map[string]string{"role": "client"}, map[string]string{"role": "server"}
	return rules.Cluster{
		Namespaces: []*corev1.Namespace{
			{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"team": "a"}}},
			{ObjectMeta: metav1.ObjectMeta{Name: "b", Labels: map[string]string{"team": "b"}}},
		},
		Pods: []*corev1.Pod{
			makePod("a", "client", "10.244.0.10", client),
			makePod("a", "server", "10.244.0.11", server,
				corev1.ContainerPort{Name: "web", ContainerPort: 8080},
				corev1.ContainerPort{Name: "dns", ContainerPort: 5353, Protocol: corev1.ProtocolUDP}),
			makePod("b", "client", "10.244.0.20", client),
			makePod("b", "server", "10.244.0.21", server, corev1.ContainerPort{Name: "web", ContainerPort: 9090}),
		},
	}
}

// flow parses "10.244.0.10 > 10.244.0.11 tcp/8080".
func flow(t *testing.T, text string) packet {
	t.Helper()
	p := packet{hook: knftables.ForwardHook}
	_, err := fmt.Sscanf(strings.Replace(text, "/", " ", 1), "%s > %s %s %d", &p.source, &p.target, &p.protocol, &p.port)
	require.NoError(t, err, text)
	interfaceOf := func(address string) string {
		if strings.HasPrefix(address, "10.244.0.") {
			return "cni0"
		}
		return "eth0"
	}
	p.iif, p.oif = interfaceOf(p.source), interfaceOf(p.target)
	if p.target == overlaytest.NodeAddress {
		p.hook, p.oif = knftables.InputHook, ""
	}
	return p
}

func TestPolicies(t *testing.T) {
	const (
		inside   = "10.244.0.10 > 10.244.0.11 "
		across   = "10.244.0.20 > 10.244.0.11 "
		reverse  = "10.244.0.11 > 10.244.0.10 "
		outside  = "192.0.2.7 > 10.244.0.11 "
		toNode   = "10.244.0.11 > 192.168.49.2 "
		toWorld  = "10.244.0.11 > 192.0.2.7 "
		outwards = "10.244.0.11 > 10.244.0.21 "
	)
	// All policies are in namespace a; the selectors are written in JSON to be short.
	tests := map[string]struct {
		policies []string
		allowed  []string
		denied   []string
	}{
		"without a policy everything is allowed": {
			allowed: []string{inside + "tcp/8080", across + "udp/1", outside + "tcp/1", toNode + "tcp/22", toWorld + "sctp/1"},
		},
		"default deny": {
			policies: []string{`{podSelector: {}, policyTypes: [Ingress, Egress]}`},
			allowed:  []string{"10.244.0.20 > 10.244.0.21 tcp/9090"},
			denied:   []string{inside + "tcp/8080", across + "tcp/8080", outside + "tcp/8080", toNode + "tcp/22", toWorld + "tcp/1", reverse + "udp/1"},
		},
		"without policyTypes ingress is restricted and egress only by its rules": {
			policies: []string{`{podSelector: {}}`},
			allowed:  []string{toWorld + "tcp/1", toNode + "tcp/22", outwards + "tcp/9090"},
			denied:   []string{inside + "tcp/8080"},
		},
		"without policyTypes egress rules restrict egress": {
			policies: []string{`{podSelector: {}, egress: [{ports: [{port: 53}]}]}`},
			allowed:  []string{toWorld + "tcp/53", outwards + "tcp/53"},
			denied:   []string{toWorld + "tcp/54", toWorld + "udp/53", inside + "tcp/53"},
		},
		"only the selected pods are restricted": {
			policies: []string{`{podSelector: {matchLabels: {role: client}}, policyTypes: [Ingress]}`},
			allowed:  []string{inside + "tcp/8080"},
			denied:   []string{reverse + "tcp/8080"},
		},
		"matchExpressions select": {
			policies: []string{`{podSelector: {matchExpressions: [{key: role, operator: NotIn, values: [server]}]}, policyTypes: [Ingress]}`},
			allowed:  []string{inside + "tcp/8080"},
			denied:   []string{reverse + "tcp/8080"},
		},
		"egress and ingress must both allow": {
			policies: []string{
				`{podSelector: {matchLabels: {role: server}}, policyTypes: [Ingress], ingress: [{}]}`,
				`{podSelector: {matchLabels: {role: client}}, policyTypes: [Egress]}`,
			},
			allowed: []string{across + "tcp/8080"},
			denied:  []string{inside + "tcp/8080"},
		},
		"policies add up": {
			policies: []string{
				`{podSelector: {}, policyTypes: [Ingress]}`,
				`{podSelector: {matchLabels: {role: server}}, ingress: [{ports: [{port: 1}]}]}`,
				`{podSelector: {matchLabels: {role: server}}, ingress: [{ports: [{port: 2}]}]}`,
			},
			allowed: []string{inside + "tcp/1", inside + "tcp/2"},
			denied:  []string{inside + "tcp/3", reverse + "tcp/1"},
		},
		"a podSelector means the policy's own namespace": {
			policies: []string{`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {role: client}}}]}]}`},
			allowed:  []string{inside + "tcp/8080"},
			denied:   []string{across + "tcp/8080", reverse + "tcp/8080", outside + "tcp/8080"},
		},
		"a namespaceSelector means all pods of the namespace": {
			policies: []string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}`},
			allowed:  []string{across + "tcp/8080", "10.244.0.21 > 10.244.0.11 tcp/1"},
			denied:   []string{inside + "tcp/8080", outside + "tcp/1"},
		},
		"an empty namespaceSelector means all pods and nobody else": {
			policies: []string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}`},
			allowed:  []string{inside + "tcp/8080", across + "tcp/8080"},
			denied:   []string{outside + "tcp/8080"},
		},
		"both selectors of one peer must match": {
			policies: []string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {role: client}}}]}]}`},
			allowed:  []string{across + "tcp/8080"},
			denied:   []string{inside + "tcp/8080", "10.244.0.21 > 10.244.0.11 tcp/1"},
		},
		"one of several peers must match": {
			policies: []string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}, {podSelector: {matchLabels: {role: client}}}]}]}`},
			allowed:  []string{across + "tcp/8080", inside + "tcp/8080", "10.244.0.21 > 10.244.0.11 tcp/1"},
			denied:   []string{reverse + "tcp/8080"},
		},
		"peers that match nobody allow nobody": {
			policies: []string{`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {role: none}}}]}]}`},
			denied:   []string{inside + "tcp/8080", outside + "tcp/8080"},
		},
		"a block of addresses without its exceptions": {
			policies: []string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.9/24, except: [192.0.2.128/25, 192.0.2.192/26]}}]}]}`},
			allowed:  []string{outside + "tcp/8080", "192.0.2.127 > 10.244.0.11 tcp/1"},
			denied:   []string{"192.0.2.128 > 10.244.0.11 tcp/1", "192.0.2.200 > 10.244.0.11 tcp/1", "192.0.3.1 > 10.244.0.11 tcp/1", inside + "tcp/1"},
		},
		"a block of addresses of the other IP version matches nobody": {
			policies: []string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "::/0"}}]}]}`},
			denied:   []string{outside + "tcp/8080", inside + "tcp/1"},
		},
		"every address": {
			policies: []string{`{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [192.168.0.0/16]}}]}], policyTypes: [Egress]}`},
			allowed:  []string{toWorld + "tcp/1", outwards + "udp/1"},
			denied:   []string{toNode + "tcp/1"},
		},
		"numbered ports, protocols and ranges": {
			policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 80}, {port: 53, protocol: UDP}, {port: 9, protocol: SCTP}, {port: 100, endPort: 102}]}]}`},
			allowed:  []string{inside + "tcp/80", inside + "udp/53", inside + "sctp/9", inside + "tcp/100", inside + "tcp/101", inside + "tcp/102", outside + "tcp/80"},
			denied:   []string{inside + "udp/80", inside + "tcp/53", inside + "tcp/9", inside + "tcp/99", inside + "tcp/103", inside + "udp/101"},
		},
		"a protocol without a port": {
			policies: []string{`{podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}`},
			allowed:  []string{inside + "udp/1", inside + "udp/65535"},
			denied:   []string{inside + "tcp/1"},
		},
		"a named port of ingress is the selected pod's": {
			policies: []string{`{podSelector: {}, ingress: [{ports: [{port: web}, {port: dns, protocol: UDP}]}]}`},
			allowed:  []string{inside + "tcp/8080", inside + "udp/5353"},
			denied:   []string{inside + "tcp/9090", inside + "tcp/5353", reverse + "tcp/8080"},
		},
		"a named port of egress is the peer's": {
			policies: []string{`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: web}]}]}`},
			allowed:  []string{inside + "tcp/8080", outwards + "tcp/9090"},
			denied:   []string{inside + "tcp/9090", outwards + "tcp/8080", toWorld + "tcp/8080"},
		},
		"a named port without a peer is any pod's": {
			policies: []string{`{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}`},
			allowed:  []string{inside + "tcp/8080", outwards + "tcp/9090"},
			denied:   []string{inside + "tcp/9090", toWorld + "tcp/8080", toNode + "tcp/8080"},
		},
		"a name that no pod has allows nothing": {
			policies: []string{`{podSelector: {}, ingress: [{ports: [{port: nowhere}]}]}`},
			denied:   []string{inside + "tcp/8080"},
		},
		"nothing keeps a pod from itself": {
			policies: []string{`{podSelector: {}, policyTypes: [Ingress, Egress]}`},
			allowed:  []string{"10.244.0.11 > 10.244.0.11 tcp/8080"},
		},
		"egress to the node is egress": {
			policies: []string{`{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 6443}]}]}`},
			allowed:  []string{toNode + "tcp/6443"},
			denied:   []string{toNode + "tcp/10250"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cluster := smallCluster()
			for i, text := range test.policies {
				cluster.Policies = append(cluster.Policies, parsePolicy(t, fmt.Sprintf("p%d", i), text))
			}
			nft, err := build(t, cluster)
			require.NoError(t, err)
			for _, text := range test.allowed {
				assert.True(t, passes(t, nft, flow(t, text)), "%s is denied by\n%s", text, nft.Dump())
			}
			for _, text := range test.denied {
				assert.False(t, passes(t, nft, flow(t, text)), "%s is allowed by\n%s", text, nft.Dump())
				answer := flow(t, text)
				answer.established = true
				assert.True(t, passes(t, nft, answer), "%s is denied though established", text)
			}
		})
	}
}

func parsePolicy(t *testing.T, name, spec string) *networkingv1.NetworkPolicy {
	t.Helper()
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}}
	text, err := yaml.ToJSON([]byte(spec))
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(text, &policy.Spec), spec)
	return policy
}

func TestPodsWithoutARecord(t *testing.T) {
	unknown := []string{
		"10.244.0.99 > 10.244.0.11 tcp/8080",
		"10.244.0.11 > 10.244.0.99 tcp/8080",
		"10.244.0.99 > 192.168.49.2 tcp/6443",
		"10.244.0.99 > 192.0.2.7 tcp/80",
		"192.0.2.7 > 10.244.0.99 tcp/80",
	}
	nft, err := build(t, smallCluster())
	require.NoError(t, err)
	for _, text := range unknown {
		assert.False(t, passes(t, nft, flow(t, text)), "a pod that is not known yet: %s", text)
	}
	assert.True(t, passes(t, nft, flow(t, "10.244.0.10 > 10.244.0.11 tcp/8080")))

	closed, err := build(t, rules.Cluster{})
	require.NoError(t, err)
	assert.False(t, passes(t, closed, flow(t, "10.244.0.10 > 10.244.0.11 tcp/8080")), "before the cluster is known")
	assert.True(t, passes(t, closed, flow(t, "192.0.2.7 > 192.168.49.2 tcp/6443")), "the node itself is reached from the first moment")
	probe := flow(t, "10.244.0.99 > 192.168.49.2 tcp/6443")
	probe.established = true
	assert.True(t, passes(t, closed, probe), "a pod that is not known yet answers the kubelet")
}

func TestWhichPodsCount(t *testing.T) {
	cluster := smallCluster()
	cluster.Policies = []*networkingv1.NetworkPolicy{
		parsePolicy(t, "p", `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {role: late}}}]}]}`),
	}
	late := map[string]string{"role": "late"}

	finished := makePod("a", "finished", "10.244.0.30", late)
	finished.Status.Phase = corev1.PodSucceeded
	host := makePod("a", "host", overlaytest.NodeAddress, late)
	host.Spec.HostNetwork = true
	pending := makePod("a", "pending", "", late)
	remote := makePod("a", "remote", "10.244.1.7", late)
	remote.Spec.NodeName = "another"
	dual := makePod("a", "dual", "fd00::1", late)
	dual.Status.PodIPs = []corev1.PodIP{{IP: "fd00::1"}, {IP: "10.244.0.31"}}
	former, current := makePod("a", "former", "10.244.0.32", late), makePod("a", "current", "10.244.0.32", nil)
	current.CreationTimestamp = metav1.NewTime(time.Unix(1000, 0))
	cluster.Pods = append(cluster.Pods, finished, host, pending, remote, dual, current, former)

	nft, err := build(t, cluster)
	require.NoError(t, err)
	denied := map[string]string{
		"10.244.0.30 > 10.244.0.11 tcp/1":  "the address of a pod that has ended",
		"192.168.49.2 > 10.244.0.11 tcp/1": "a pod in the host's network is the node",
		"10.244.0.32 > 10.244.0.11 tcp/1":  "an address belongs to the pod that was made last",
	}
	for text, why := range denied {
		assert.False(t, passes(t, nft, flow(t, text)), why)
	}
	assert.True(t, passes(t, nft, flow(t, "10.244.1.7 > 10.244.0.11 tcp/1")), "a pod of another node is a peer")
	assert.True(t, passes(t, nft, flow(t, "10.244.0.31 > 10.244.0.11 tcp/1")), "the IPv4 address of two")
	assert.True(t, passes(t, nft, flow(t, "10.244.0.11 > 10.244.1.7 tcp/1")), "another node's pods are restricted there")
}

func TestForgedSources(t *testing.T) {
	nft, err := build(t, smallCluster())
	require.NoError(t, err)
	p := flow(t, "10.244.0.10 > 10.244.0.11 tcp/8080")
	p.iif = "eth0"
	assert.False(t, passes(t, nft, p), "a pod's address from outside")
}

func TestIPv6(t *testing.T) {
	nft, err := build(t, smallCluster())
	require.NoError(t, err)
	for name, p := range map[string]packet{
		"between pods": {hook: knftables.ForwardHook, iif: "cni0", oif: "cni0"},
		"to the node":  {hook: knftables.InputHook, iif: "cni0"},
		"from outside": {hook: knftables.ForwardHook, iif: "eth0", oif: "cni0"},
	} {
		p.ip6, p.source, p.target = true, "fe80::1", "fe80::2"
		assert.False(t, passes(t, nft, p), name)
	}
	assert.True(t, passes(t, nft, packet{hook: knftables.InputHook, iif: "eth0", ip6: true}), "the node's own")
}

func TestWhatCannotBeTranslatedAllowsNothing(t *testing.T) {
	tests := map[string]struct{ spec, want string }{
		"selector of the policy": {
			`{podSelector: {matchExpressions: [{key: role, operator: Near}]}}`, "spec.podSelector"},
		"selector of a peer": {
			`{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: role, operator: Near}]}}]}]}`, "spec.ingress[0].from: podSelector"},
		"namespace selector": {
			`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: role, operator: Near}]}}]}]}`, "namespaceSelector"},
		"block of addresses": {
			`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: everywhere}}]}]}`, "ipBlock.cidr"},
		"exception": {
			`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [nowhere]}}]}]}`, "ipBlock.except"},
		"protocol": {
			`{podSelector: {}, ingress: [{ports: [{protocol: ICMP}]}]}`, `unknown protocol "ICMP"`},
		"a range that begins with a name": {
			`{podSelector: {}, ingress: [{ports: [{port: web, endPort: 9}]}]}`, "takes no endPort"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cluster := smallCluster()
			cluster.Policies = append(cluster.Policies, parsePolicy(t, "broken", test.spec))
			nft, err := build(t, cluster)
			require.ErrorContains(t, err, "NetworkPolicy a/broken")
			require.ErrorContains(t, err, test.want)
			assert.False(t, passes(t, nft, flow(t, "10.244.0.10 > 10.244.0.11 tcp/8080")))
			assert.True(t, passes(t, nft, flow(t, "10.244.0.10 > 10.244.0.21 tcp/8080")), "the rest of the cluster is not concerned")
		})
	}
}

// Every flow between the workloads of overlays/minikube, against a list written by hand.
func TestOverlay(t *testing.T) {
	cluster, err := overlaytest.Load()
	require.NoError(t, err)
	require.Len(t, cluster.Policies, 13, "policies of the overlay")
	nft, err := build(t, cluster)
	require.NoError(t, err)

	addresses := map[string]string{overlaytest.NodeName: overlaytest.NodeAddress, overlaytest.OutsideName: overlaytest.OutsideAddress}
	for _, p := range cluster.Pods {
		addresses[p.Name] = p.Status.PodIP
	}
	allowed := overlaytest.Allowed(cluster)
	seen := 0
	for _, f := range overlaytest.Flows(cluster) {
		text := fmt.Sprintf("%s > %s %s/%d", addresses[f.From], addresses[f.To], strings.ToLower(string(f.Port.Protocol)), f.Port.Number)
		assert.Equal(t, allowed[f], passes(t, nft, flow(t, text)), f.String())
		if allowed[f] {
			seen++
		}
	}
	assert.Equal(t, len(allowed), seen, "each allowed flow was tried")
}

func TestOverlayText(t *testing.T) {
	cluster, err := overlaytest.Load()
	require.NoError(t, err)
	text := func() string {
		nft := knftables.NewFake(rules.Family, rules.Table)
		tx := nft.NewTransaction()
		require.NoError(t, rules.Build(tx, overlaytest.Node, cluster))
		return tx.String()
	}
	first := text()
	slices.Reverse(cluster.Pods)
	slices.Reverse(cluster.Policies)
	assert.Equal(t, first, text(), "the order in which the API lists objects must not matter")

	golden := filepath.Join("testdata", "minikube.nft")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(first), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), first, "run go test ./networkpolicy/internal/rules -update if this is meant")
}

// A rule less in the policies is a flow less in the table: each allow rule is needed and is translated.
func TestEachRuleOfTheOverlayAllowsSomething(t *testing.T) {
	cluster, err := overlaytest.Load()
	require.NoError(t, err)
	addresses := map[string]string{overlaytest.NodeName: overlaytest.NodeAddress, overlaytest.OutsideName: overlaytest.OutsideAddress}
	for _, p := range cluster.Pods {
		addresses[p.Name] = p.Status.PodIP
	}
	flows := overlaytest.Flows(cluster)
	count := func(c rules.Cluster) int {
		nft, err := build(t, c)
		require.NoError(t, err)
		open := 0
		for _, f := range flows {
			if passes(t, nft, flow(t, fmt.Sprintf("%s > %s %s/%d", addresses[f.From], addresses[f.To],
				strings.ToLower(string(f.Port.Protocol)), f.Port.Number))) {
				open++
			}
		}
		return open
	}
	all := count(cluster)
	without := func(i int, change func(*networkingv1.NetworkPolicySpec)) rules.Cluster {
		changed := cluster
		changed.Policies = slices.Clone(cluster.Policies)
		changed.Policies[i] = cluster.Policies[i].DeepCopy()
		change(&changed.Policies[i].Spec)
		return changed
	}
	for i, policy := range cluster.Policies {
		for j := range policy.Spec.Ingress {
			assert.Less(t, count(without(i, func(spec *networkingv1.NetworkPolicySpec) {
				spec.Ingress = slices.Delete(spec.Ingress, j, j+1)
			})), all, "%s/%s without ingress[%d]", policy.Namespace, policy.Name, j)
		}
		for j := range policy.Spec.Egress {
			assert.Less(t, count(without(i, func(spec *networkingv1.NetworkPolicySpec) {
				spec.Egress = slices.Delete(spec.Egress, j, j+1)
			})), all, "%s/%s without egress[%d]", policy.Namespace, policy.Name, j)
		}
	}
}

func TestLongNames(t *testing.T) {
	cluster := smallCluster()
	long := strings.Repeat("x", 250)
	for _, name := range []string{long + "1", long + "2"} {
		policy := parsePolicy(t, name, `{podSelector: {}, policyTypes: [Ingress]}`)
		cluster.Policies = append(cluster.Policies, policy)
	}
	nft, err := build(t, cluster)
	require.NoError(t, err)
	var names []string
	for name := range nft.Table.Chains {
		assert.LessOrEqual(t, len(name), 127, name)
		if strings.HasPrefix(name, "policy/") {
			names = append(names, name)
		}
	}
	assert.Len(t, names, 2, "two policies whose names differ at the end only")
}

func TestRemove(t *testing.T) {
	nft, err := build(t, smallCluster())
	require.NoError(t, err)
	for range 2 {
		tx := nft.NewTransaction()
		rules.Remove(tx)
		require.NoError(t, nft.Run(t.Context(), tx))
		assert.Nil(t, nft.Table)
	}
}
