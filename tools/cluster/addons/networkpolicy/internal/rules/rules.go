// Package rules translates NetworkPolicies into one nftables table.
//
// A flow between pods must be allowed twice: by the sender's egress policies and by the receiver's
// ingress policies. Each direction is a base chain of its own on the forward hook, because in
// nftables an accept ends the base chain that it was reached from and no other. Both come after
// kube-proxy's DNAT, so a connection to a Service is judged by the pod that it really goes to, and
// before its masquerading, so a client from outside still bears its own address.
//
// What the node itself sends to a pod passes no forward hook: probes are always allowed.
package rules

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/knftables"
)

// Family and Table name the one table that this package writes.
const (
	Family = knftables.InetFamily
	Table  = "networkpolicy"
)

// Names of the chains, sets and maps that stand for no object of the cluster.
const (
	fromPodChain = "from-pod"
	toPodChain   = "to-pod"
	podSet       = "pods"
	selfSet      = "self"
	egressMap    = "egress"
	ingressMap   = "ingress"
)

// maxName keeps names below the 128 bytes that older nft programs take.
const maxName = 120

// Node is where the rules are to be enforced.
type Node struct {
	// Name is the node's name, as pods bear it in spec.nodeName.
	Name string
	// Bridge is the interface that the node's pods are attached to.
	Bridge string
}

// Build adds to tx what replaces the whole table, in one step, by the rules for this state of the cluster.
// The same state gives the same text. What cannot be translated allows nothing and is part of the error;
// tx is complete and right to run in either case.
func Build(tx *knftables.Transaction, node Node, cluster Cluster) error {
	b := builder{tx: tx, node: node, pods: cluster.pods(), namespaces: cluster.namespaces()}
	policies := slices.Clone(cluster.Policies)
	slices.SortFunc(policies, func(x, y *networkingv1.NetworkPolicy) int {
		return strings.Compare(x.Namespace+"/"+x.Name, y.Namespace+"/"+y.Name)
	})

	b.base()
	translated := make([]policy, 0, len(policies))
	for _, object := range policies {
		translated = append(translated, b.policy(object))
	}
	for _, p := range b.pods {
		if p.node != node.Name {
			continue
		}
		b.element(podSet, p.address)
		b.element(selfSet, p.address, p.address)
		b.dispatch(p, networkingv1.PolicyTypeEgress, egressMap, translated)
		b.dispatch(p, networkingv1.PolicyTypeIngress, ingressMap, translated)
	}
	return errors.Join(b.problems...)
}

// Remove adds to tx what removes the table, whether it is there or not.
func Remove(tx *knftables.Transaction) {
	// Older nft programs have no "destroy".
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
}

type builder struct {
	tx         *knftables.Transaction
	node       Node
	pods       []pod
	namespaces map[string]map[string]string
	problems   []error
}

// base writes what does not depend on any policy.
func (b *builder) base() {
	Remove(b.tx)
	b.tx.Add(&knftables.Table{})
	b.tx.Add(&knftables.Set{Name: podSet, Type: "ipv4_addr"})
	b.tx.Add(&knftables.Set{Name: selfSet, Type: "ipv4_addr . ipv4_addr"})
	b.tx.Add(&knftables.Map{Name: egressMap, Type: "ipv4_addr : verdict"})
	b.tx.Add(&knftables.Map{Name: ingressMap, Type: "ipv4_addr : verdict"})

	bridge := `"` + b.node.Bridge + `"`
	b.chain(fromPodChain)
	b.rule(fromPodChain, "ct state established,related accept")
	// Pods have no IPv6 address of the cluster, but a link-local one: nothing could judge that traffic.
	b.rule(fromPodChain, "iifname", bridge, "meta nfproto ipv6 counter drop")
	// A pod that has just started is not known yet, and waits until it is.
	b.rule(fromPodChain, "iifname", bridge, "ip saddr !=", "@", podSet, "counter drop")
	b.rule(fromPodChain, "iifname !=", bridge, "ip saddr", "@", podSet, "counter drop")
	b.rule(fromPodChain, "ip saddr . ip daddr", "@", selfSet, "accept")
	b.rule(fromPodChain, "ip saddr vmap", "@", egressMap)

	b.chain(toPodChain)
	b.rule(toPodChain, "ct state established,related accept")
	b.rule(toPodChain, "oifname", bridge, "meta nfproto ipv6 counter drop")
	b.rule(toPodChain, "oifname", bridge, "ip daddr !=", "@", podSet, "counter drop")
	b.rule(toPodChain, "ip saddr . ip daddr", "@", selfSet, "accept")
	b.rule(toPodChain, "ip daddr vmap", "@", ingressMap)

	// From a pod to the node, for instance to the kubelet, is egress like any other.
	b.baseChain("input-egress", knftables.InputHook, "filter", fromPodChain)
	b.baseChain("forward-egress", knftables.ForwardHook, "filter", fromPodChain)
	b.baseChain("forward-ingress", knftables.ForwardHook, "filter+1", toPodChain)
}

// dispatch sends a pod's packets of one direction through the policies that select it. A pod that
// none selects in this direction gets no entry: all is allowed.
func (b *builder) dispatch(p pod, direction networkingv1.PolicyType, table string, policies []policy) {
	var chains []string
	for _, candidate := range policies {
		if chain := candidate.chains[direction]; chain != "" && candidate.selects(p) {
			chains = append(chains, chain)
		}
	}
	if len(chains) == 0 {
		return
	}
	name := chainName("pod", direction, p.namespace, p.name)
	b.chain(name)
	for _, chain := range chains {
		b.rule(name, "jump", chain)
	}
	b.rule(name, "counter drop")
	b.tx.Add(&knftables.Element{Map: table, Key: []string{p.address}, Value: []string{"goto " + name}})
}

// policy writes a policy's chains, one for each direction that it restricts.
func (b *builder) policy(object *networkingv1.NetworkPolicy) policy {
	result := policy{namespace: object.Namespace, chains: map[networkingv1.PolicyType]string{}}
	fail := func(err error) {
		b.problems = append(b.problems, fmt.Errorf("translate NetworkPolicy %s/%s: %w", object.Namespace, object.Name, err))
	}
	var err error
	if result.selector, err = selector(&object.Spec.PodSelector); err != nil {
		fail(fmt.Errorf("spec.podSelector, so the policy is taken to select every pod: %w", err))
	}
	if slices.Contains(policyTypes(object), networkingv1.PolicyTypeIngress) {
		chain := chainName("policy", networkingv1.PolicyTypeIngress, object.Namespace, object.Name)
		result.chains[networkingv1.PolicyTypeIngress] = chain
		b.chain(chain)
		var targets []pod
		for _, p := range b.pods {
			if p.node == b.node.Name && result.selects(p) {
				targets = append(targets, p)
			}
		}
		for i, rule := range object.Spec.Ingress {
			sources, err := b.peers(object.Namespace, rule.From)
			if err != nil {
				fail(fmt.Errorf("spec.ingress[%d].from: %w", i, err))
			}
			ports, err := portMatches(rule.Ports, targets)
			if err != nil {
				fail(fmt.Errorf("spec.ingress[%d].ports: %w", i, err))
			}
			b.accept(chain, sources.matches("ip saddr"), ports)
		}
	}
	if slices.Contains(policyTypes(object), networkingv1.PolicyTypeEgress) {
		chain := chainName("policy", networkingv1.PolicyTypeEgress, object.Namespace, object.Name)
		result.chains[networkingv1.PolicyTypeEgress] = chain
		b.chain(chain)
		for i, rule := range object.Spec.Egress {
			targets, err := b.peers(object.Namespace, rule.To)
			if err != nil {
				fail(fmt.Errorf("spec.egress[%d].to: %w", i, err))
			}
			ports, err := portMatches(rule.Ports, targets.named(b.pods))
			if err != nil {
				fail(fmt.Errorf("spec.egress[%d].ports: %w", i, err))
			}
			b.accept(chain, targets.matches("ip daddr"), ports)
		}
	}
	return result
}

// accept writes a rule for each pair of an address match and a port match.
func (b *builder) accept(chain string, addresses, ports []string) {
	for _, address := range addresses {
		for _, port := range ports {
			b.rule(chain, address, port, "accept")
		}
	}
}

func (b *builder) baseChain(name string, hook knftables.BaseChainHook, priority knftables.BaseChainPriority, jump string) {
	b.tx.Add(&knftables.Chain{
		Name:     name,
		Type:     knftables.PtrTo(knftables.FilterType),
		Hook:     &hook,
		Priority: &priority,
	})
	b.rule(name, "jump", jump)
}

func (b *builder) chain(name string) {
	b.tx.Add(&knftables.Chain{Name: name})
}

func (b *builder) rule(chain string, parts ...any) {
	parts = slices.DeleteFunc(parts, func(part any) bool { return part == "" })
	b.tx.Add(&knftables.Rule{Chain: chain, Rule: knftables.Concat(parts...)})
}

func (b *builder) element(set string, key ...string) {
	b.tx.Add(&knftables.Element{Set: set, Key: key})
}

// policyTypes returns the directions that a policy restricts, which may be left to be guessed from its rules.
func policyTypes(object *networkingv1.NetworkPolicy) []networkingv1.PolicyType {
	if len(object.Spec.PolicyTypes) > 0 {
		return object.Spec.PolicyTypes
	}
	types := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	if len(object.Spec.Egress) > 0 {
		types = append(types, networkingv1.PolicyTypeEgress)
	}
	return types
}

// chainName gives the chain of an object and direction; a name that is too long ends in its hash.
func chainName(kind string, direction networkingv1.PolicyType, namespace, name string) string {
	full := fmt.Sprintf("%s/%s/%s/%s", kind, strings.ToLower(string(direction)), namespace, name)
	if len(full) <= maxName {
		return full
	}
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(full)))[:16]
	return full[:maxName-len(hash)-1] + "/" + hash
}
