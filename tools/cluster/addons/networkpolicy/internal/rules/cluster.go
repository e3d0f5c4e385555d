package rules

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Cluster is the state of the cluster that the rules depend on.
type Cluster struct {
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace
	Policies   []*networkingv1.NetworkPolicy
}

// pod is what the rules need to know of a pod.
type pod struct {
	namespace, name string
	node            string
	labels          labels.Set
	address         string
	ports           map[portName][]int32
}

type portName struct {
	protocol corev1.Protocol
	name     string
}

// pods returns the pods that own an IPv4 address, in the order of the addresses. A pod in the host's network
// has the node's address and is the node to every policy.
func (c Cluster) pods() []pod {
	owners := map[netip.Addr]*corev1.Pod{}
	for _, object := range c.Pods {
		if object.Spec.HostNetwork || object.Status.Phase == corev1.PodSucceeded || object.Status.Phase == corev1.PodFailed {
			continue
		}
		address, ok := ipv4(object)
		if !ok {
			continue
		}
		// An address is free again before the API hears that its pod is gone.
		if owner := owners[address]; owner == nil || newer(object, owner) {
			owners[address] = object
		}
	}
	addresses := make([]netip.Addr, 0, len(owners))
	for address := range owners {
		addresses = append(addresses, address)
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	pods := make([]pod, 0, len(addresses))
	for _, address := range addresses {
		object := owners[address]
		pods = append(pods, pod{
			namespace: object.Namespace,
			name:      object.Name,
			node:      object.Spec.NodeName,
			labels:    object.Labels,
			address:   address.String(),
			ports:     namedPorts(object),
		})
	}
	return pods
}

func (c Cluster) namespaces() map[string]map[string]string {
	result := make(map[string]map[string]string, len(c.Namespaces))
	for _, namespace := range c.Namespaces {
		result[namespace.Name] = namespace.Labels
	}
	return result
}

func ipv4(object *corev1.Pod) (netip.Addr, bool) {
	for _, candidate := range append([]corev1.PodIP{{IP: object.Status.PodIP}}, object.Status.PodIPs...) {
		if address, err := netip.ParseAddr(candidate.IP); err == nil && address.Is4() {
			return address, true
		}
	}
	return netip.Addr{}, false
}

func newer(x, y *corev1.Pod) bool {
	if !x.CreationTimestamp.Equal(&y.CreationTimestamp) {
		return y.CreationTimestamp.Before(&x.CreationTimestamp)
	}
	return strings.Compare(string(x.UID), string(y.UID)) > 0
}

func namedPorts(object *corev1.Pod) map[portName][]int32 {
	result := map[portName][]int32{}
	// An init container may listen too, if it is a sidecar.
	for _, container := range slices.Concat(object.Spec.InitContainers, object.Spec.Containers) {
		for _, port := range container.Ports {
			if port.Name == "" {
				continue
			}
			protocol := port.Protocol
			if protocol == "" {
				protocol = corev1.ProtocolTCP
			}
			key := portName{protocol, port.Name}
			if !slices.Contains(result[key], port.ContainerPort) {
				result[key] = append(result[key], port.ContainerPort)
			}
		}
	}
	return result
}
