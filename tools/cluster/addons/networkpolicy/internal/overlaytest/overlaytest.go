// Package overlaytest gives tests the real policies: those of overlays/minikube, with a pod of each
// workload, and the table of the flows that they are to allow.
package overlaytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/ft-services/ft-services/tools/cluster/addons/networkpolicy/internal/rules"
)

// Node is the node and bridge of every pod.
var Node = rules.Node{Name: "node", Bridge: "cni0"}

// Addresses of what is not a pod.
const (
	NodeAddress    = "192.168.49.2"
	OutsideAddress = "192.168.49.1"
)

// Names in the flow table of what is not a workload of the overlay.
const (
	NodeName    = "node"
	OutsideName = "outside"
	DNSName     = "coredns"
	// OtherName is a pod of a namespace without any policy.
	OtherName = "other"
)

// Port is where a flow goes.
type Port struct {
	Protocol corev1.Protocol
	Number   int32
}

// Flow is a connection from a pod, or from outside, to a port of a pod or of the node.
type Flow struct {
	From, To string
	Port     Port
}

// String names a flow in a test's output.
func (f Flow) String() string {
	return fmt.Sprintf("%s to %s %s/%d", f.From, f.To, f.Port.Protocol, f.Port.Number)
}

// Load reads the golden render of the overlay and gives each of its pods an address in 10.244.0.0/24.
func Load() (rules.Cluster, error) {
	_, here, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(here), "../../../../../validate/testdata/golden/minikube.yaml")
	file, err := os.Open(path)
	if err != nil {
		return rules.Cluster{}, fmt.Errorf("read the overlay's render: %w", err)
	}
	defer file.Close()
	cluster, err := decode(file)
	if err != nil {
		return rules.Cluster{}, fmt.Errorf("read the overlay's render %s: %w", path, err)
	}
	for _, name := range []string{"kube-system", "elsewhere"} {
		cluster.Namespaces = append(cluster.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{corev1.LabelMetadataName: name},
		}})
	}
	cluster.Pods = append(cluster.Pods,
		newPod("kube-system", DNSName, map[string]string{"k8s-app": "kube-dns"}, corev1.PodSpec{
			Containers: []corev1.Container{{Ports: []corev1.ContainerPort{
				{ContainerPort: 53, Protocol: corev1.ProtocolUDP}, {ContainerPort: 53, Protocol: corev1.ProtocolTCP},
				{ContainerPort: 9153, Protocol: corev1.ProtocolTCP},
			}}}}),
		newPod("elsewhere", OtherName, nil, corev1.PodSpec{
			Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: 7000}}}}}))
	for i, pod := range cluster.Pods {
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.244.0.%d", i+10)}
	}
	return cluster, nil
}

func decode(from io.Reader) (rules.Cluster, error) {
	var cluster rules.Cluster
	decoder := yaml.NewYAMLToJSONDecoder(from)
	for {
		var document raw
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return cluster, nil
		} else if err != nil {
			return cluster, err
		}
		var err error
		switch document.Kind {
		case "Namespace":
			namespace := &corev1.Namespace{}
			if err = document.into(namespace); err == nil {
				// The API server sets it.
				namespace.Labels[corev1.LabelMetadataName] = namespace.Name
				cluster.Namespaces = append(cluster.Namespaces, namespace)
			}
		case "NetworkPolicy":
			policy := &networkingv1.NetworkPolicy{}
			err = document.into(policy)
			cluster.Policies = append(cluster.Policies, policy)
		case "Deployment", "DaemonSet":
			// Both have the template at the same place.
			workload := &appsv1.Deployment{}
			err = document.into(workload)
			if template := workload.Spec.Template; strings.HasPrefix(workload.Namespace, "ft-services") {
				cluster.Pods = append(cluster.Pods, newPod(workload.Namespace, workload.Name, template.Labels, template.Spec))
			}
		}
		if err != nil {
			return cluster, err
		}
	}
}

func newPod(namespace, name string, labels map[string]string, spec corev1.PodSpec) *corev1.Pod {
	spec.NodeName = Node.Name
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}, Spec: spec}
}

// Ports are the ports that a pod declares, and one that it does not.
func Ports(pod *corev1.Pod) []Port {
	ports := []Port{{corev1.ProtocolTCP, 9}}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			protocol := port.Protocol
			if protocol == "" {
				protocol = corev1.ProtocolTCP
			}
			ports = append(ports, Port{protocol, port.ContainerPort})
		}
	}
	return ports
}

// NodePorts are ports of the node: the API server's, the kubelet's and one of nobody's business.
func NodePorts() []Port {
	return []Port{{corev1.ProtocolTCP, 6443}, {corev1.ProtocolTCP, 10250}, {corev1.ProtocolTCP, 22}}
}

// Allowed is every flow that the overlay is to allow between the pods of cluster, the node and outside,
// written down by hand: whatever is not in it must be denied.
func Allowed(cluster rules.Cluster) map[Flow]bool {
	allowed := map[Flow]bool{}
	allow := func(from, to string, numbers ...int32) {
		for _, number := range numbers {
			allowed[Flow{from, to, Port{corev1.ProtocolTCP, number}}] = true
		}
	}
	passive := make([]int32, 0, 40)
	for number := int32(21100); number <= 21139; number++ {
		passive = append(passive, number)
	}

	// Nobody restricts these: they reach each other, the node, and what is open to the world.
	free := []string{OutsideName, OtherName, DNSName}
	for _, from := range free {
		allow(from, "nginx", 80, 443)
		allow(from, "wordpress", 5050)
		allow(from, "phpmyadmin", 5000)
		allow(from, "grafana", 3000)
		allow(from, "ftps", 21)
		allow(from, "ftps", passive...)
		for _, to := range cluster.Pods {
			if to.Name != from && slices.Contains(free, to.Name) {
				for _, port := range Ports(to) {
					allowed[Flow{from, to.Name, port}] = true
				}
			}
		}
		if from != OutsideName {
			for _, port := range NodePorts() {
				allowed[Flow{from, NodeName, port}] = true
			}
		}
	}
	allow("nginx", "phpmyadmin", 5000)
	allow("wordpress", "mysql", 3306)
	allow("phpmyadmin", "mysql", 3306)
	allow("grafana", "influxdb", 8086)
	for _, to := range []string{"nginx", "wordpress", "phpmyadmin"} {
		allow("telegraf", to, 8080)
	}
	allow("telegraf", "ftps", 21, 9273)
	allow("telegraf", "mysql", 3306)
	allow("telegraf", "influxdb", 8086)
	allow("telegraf", "grafana", 3000)
	allow("telegraf", "telegraf-node", 9273)
	allow("telegraf", NodeName, 6443, 10250)
	allow("credentials", NodeName, 6443)
	// The API server's ports are allowed towards everybody, as its address is not known to the manifests,
	// and nginx answers everybody on 443.
	allow("telegraf", "nginx", 443)
	allow("credentials", "nginx", 443)

	for _, pod := range cluster.Pods {
		if pod.Namespace == "ft-services" {
			allow(pod.Name, DNSName, 53)
			allowed[Flow{pod.Name, DNSName, Port{corev1.ProtocolUDP, 53}}] = true
		}
	}
	return allowed
}

// Flows is every flow between two of the pods, to the node and from outside.
func Flows(cluster rules.Cluster) []Flow {
	var flows []Flow
	for _, to := range cluster.Pods {
		for _, port := range Ports(to) {
			flows = append(flows, Flow{OutsideName, to.Name, port})
			for _, from := range cluster.Pods {
				if from != to {
					flows = append(flows, Flow{from.Name, to.Name, port})
				}
			}
		}
	}
	for _, from := range cluster.Pods {
		for _, port := range NodePorts() {
			flows = append(flows, Flow{from.Name, NodeName, port})
		}
	}
	return flows
}

// raw is a document that is decoded once its kind is known.
type raw struct {
	Kind string
	json []byte
}

// UnmarshalJSON reads the kind and keeps the rest.
func (r *raw) UnmarshalJSON(text []byte) error {
	r.json = bytes.Clone(text)
	var meta metav1.TypeMeta
	err := json.Unmarshal(text, &meta)
	r.Kind = meta.Kind
	return err
}

func (r *raw) into(object any) error {
	if err := json.Unmarshal(r.json, object); err != nil {
		return fmt.Errorf("decode a %s: %w", r.Kind, err)
	}
	return nil
}
