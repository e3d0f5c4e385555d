package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// policy is what a pod needs to know of a NetworkPolicy.
type policy struct {
	namespace string
	selector  labels.Selector
	chains    map[networkingv1.PolicyType]string
}

func (p policy) selects(candidate pod) bool {
	return candidate.namespace == p.namespace && p.selector.Matches(candidate.labels)
}

// peers is the other side of a rule.
type peers struct {
	any    bool
	pods   []pod
	blocks []string // formats of a match, with the place of "ip saddr" or "ip daddr" as %[1]s
}

// peers resolves a rule's from or to. An absent list is everybody, a list that resolves to nobody is nobody.
func (b *builder) peers(namespace string, list []networkingv1.NetworkPolicyPeer) (peers, error) {
	if len(list) == 0 {
		return peers{any: true}, nil
	}
	var result peers
	var problems []error
	chosen := map[string]bool{}
	for _, peer := range list {
		if peer.IPBlock != nil {
			block, err := blockMatch(peer.IPBlock)
			if err != nil {
				problems = append(problems, err)
			} else if block != "" {
				result.blocks = append(result.blocks, block)
			}
			continue
		}
		inNamespace := labels.Nothing()
		ofPod := labels.Everything()
		var err error
		if peer.NamespaceSelector != nil {
			if inNamespace, err = metav1.LabelSelectorAsSelector(peer.NamespaceSelector); err != nil {
				problems = append(problems, fmt.Errorf("namespaceSelector: %w", err))
				continue
			}
		}
		if peer.PodSelector != nil {
			if ofPod, err = metav1.LabelSelectorAsSelector(peer.PodSelector); err != nil {
				problems = append(problems, fmt.Errorf("podSelector: %w", err))
				continue
			}
		}
		for _, p := range b.pods {
			here := peer.NamespaceSelector == nil && peer.PodSelector != nil && p.namespace == namespace
			if !here {
				of, known := b.namespaces[p.namespace]
				here = known && inNamespace.Matches(labels.Set(of))
			}
			if here && ofPod.Matches(p.labels) {
				chosen[p.address] = true
			}
		}
	}
	for _, p := range b.pods {
		if chosen[p.address] {
			result.pods = append(result.pods, p)
		}
	}
	return result, errors.Join(problems...)
}

// matches gives the nftables expressions, one of which a packet must match; side is "ip saddr" or "ip daddr".
func (p peers) matches(side string) []string {
	if p.any {
		return []string{""}
	}
	var matches []string
	if len(p.pods) > 0 {
		matches = append(matches, side+" "+addressSet(p.pods))
	}
	for _, block := range p.blocks {
		matches = append(matches, fmt.Sprintf(block, side))
	}
	return matches
}

// named gives the pods that a named port of an egress rule may mean. A block of addresses has no names,
// but a pod in it does.
func (p peers) named(all []pod) []pod {
	if p.any || len(p.blocks) > 0 {
		return all
	}
	return p.pods
}

// blockMatch gives the format of the match for a block of addresses, or "" if no IPv4 address is in it.
func blockMatch(block *networkingv1.IPBlock) (string, error) {
	prefix, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return "", fmt.Errorf("ipBlock.cidr: %w", err)
	}
	if !prefix.Addr().Is4() {
		return "", nil
	}
	parts := []string{"%[1]s " + prefix.Masked().String()}
	for _, text := range block.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil {
			return "", fmt.Errorf("ipBlock.except: %w", err)
		}
		parts = append(parts, "%[1]s != "+except.Masked().String())
	}
	return strings.Join(parts, " "), nil
}

// portMatches gives the nftables expressions, one of which a packet must match. A named port is looked up
// in the pods that may be the destination, since each of them may mean another number by it.
func portMatches(ports []networkingv1.NetworkPolicyPort, destinations []pod) ([]string, error) {
	if len(ports) == 0 {
		return []string{""}, nil
	}
	var matches []string
	var problems []error
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		switch protocol {
		case corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
		default:
			problems = append(problems, fmt.Errorf("unknown protocol %q", protocol))
			continue
		}
		name := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			matches = append(matches, "meta l4proto "+name)
		case port.Port.Type == intstr.Int && port.EndPort != nil:
			matches = append(matches, fmt.Sprintf("%s dport %d-%d", name, port.Port.IntVal, *port.EndPort))
		case port.Port.Type == intstr.Int:
			matches = append(matches, fmt.Sprintf("%s dport %d", name, port.Port.IntVal))
		case port.EndPort != nil:
			problems = append(problems, fmt.Errorf("port %q has a name, so it takes no endPort", port.Port.StrVal))
		default:
			matches = append(matches, namedPort(protocol, port.Port.StrVal, destinations)...)
		}
	}
	return matches, errors.Join(problems...)
}

func namedPort(protocol corev1.Protocol, name string, destinations []pod) []string {
	byNumber := map[int32][]pod{}
	var numbers []int32
	for _, destination := range destinations {
		for _, number := range destination.ports[portName{protocol, name}] {
			if byNumber[number] == nil {
				numbers = append(numbers, number)
			}
			byNumber[number] = append(byNumber[number], destination)
		}
	}
	slices.Sort(numbers)
	matches := make([]string, 0, len(numbers))
	for _, number := range numbers {
		matches = append(matches, fmt.Sprintf("ip daddr %s %s dport %d",
			addressSet(byNumber[number]), strings.ToLower(string(protocol)), number))
	}
	return matches
}

func addressSet(pods []pod) string {
	addresses := make([]string, len(pods))
	for i, p := range pods {
		addresses[i] = p.address
	}
	return "{ " + strings.Join(addresses, ", ") + " }"
}

// selector falls back to everything: a policy that cannot be read isolates rather than not.
func selector(from *metav1.LabelSelector) (labels.Selector, error) {
	result, err := metav1.LabelSelectorAsSelector(from)
	if err != nil {
		return labels.Everything(), err
	}
	return result, nil
}
