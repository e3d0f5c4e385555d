package pod

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Workload is what a Deployment or a DaemonSet says of its pods.
type Workload struct {
	Name      string
	Namespace string
	Template  corev1.PodTemplateSpec
}

// Manifests are those objects of an overlay that matter to a running pod.
type Manifests struct {
	Workloads  map[string]Workload // by name
	ConfigMaps map[types.NamespacedName]*corev1.ConfigMap
	Services   []*corev1.Service
	Roles      map[types.NamespacedName]*rbacv1.Role
}

// Render builds an overlay as `kubectl kustomize` does.
func Render(overlay string) (*Manifests, error) {
	options := krusty.Options{
		Reorder:          krusty.ReorderOptionUnspecified,
		LoadRestrictions: kustomize.LoadRestrictionsRootOnly,
		PluginConfig:     kustomize.DisabledPluginConfig(),
	}
	rendered, err := krusty.MakeKustomizer(&options).Run(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", overlay, err)
	}
	m := &Manifests{
		Workloads:  map[string]Workload{},
		ConfigMaps: map[types.NamespacedName]*corev1.ConfigMap{},
		Roles:      map[types.NamespacedName]*rbacv1.Role{},
	}
	for _, resource := range rendered.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("writing %s of %s: %w", resource.CurId(), overlay, err)
		}
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(text, nil, nil)
		if runtime.IsNotRegisteredError(err) {
			continue // MetalLB's
		}
		if err != nil {
			return nil, fmt.Errorf("decoding %s of %s: %w", resource.CurId(), overlay, err)
		}
		m.add(object)
	}
	return m, nil
}

func (m *Manifests) add(object runtime.Object) {
	switch o := object.(type) {
	case *appsv1.Deployment:
		m.Workloads[o.Name] = Workload{o.Name, o.Namespace, o.Spec.Template}
	case *appsv1.DaemonSet:
		m.Workloads[o.Name] = Workload{o.Name, o.Namespace, o.Spec.Template}
	case *corev1.ConfigMap:
		m.ConfigMaps[types.NamespacedName{Namespace: o.Namespace, Name: o.Name}] = o
	case *corev1.Service:
		m.Services = append(m.Services, o)
	case *rbacv1.Role:
		m.Roles[types.NamespacedName{Namespace: o.Namespace, Name: o.Name}] = o
	}
}

// HostNames are the names under which the cluster's DNS would know the Services.
func (m *Manifests) HostNames() []string {
	var names []string
	for _, service := range m.Services {
		name := service.Name + "." + service.Namespace
		names = append(names, service.Name, name, name+".svc", name+".svc."+clusterDomain)
	}
	return names
}
