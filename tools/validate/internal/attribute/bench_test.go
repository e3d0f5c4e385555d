package attribute_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/attribute"
	"github.com/ft-services/ft-services/tools/validate/internal/field"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// BenchmarkPlace compares what one finding in an overlay of 51 objects costs with the overlay's render.
func BenchmarkPlace(b *testing.B) {
	dir := filepath.Join(unpack(b, seventeenServices()), "overlay")
	overlay.Warm()
	rendered, err := overlay.Render(b.Context(), dir)
	require.NoError(b, err)
	require.Len(b, rendered.Resources(), 51)
	b.Run("render", func(b *testing.B) {
		for b.Loop() {
			_, err := overlay.Render(b.Context(), dir)
			require.NoError(b, err)
		}
	})
	for _, each := range []struct{ name, object, field, file string }{
		{"base", "Service/prod/web-7", "spec.type", "base/web-7/service.yaml"},
		{"patch", "Deployment/prod/web-7", "spec.replicas", "overlay/kustomization.yaml"},
		{"images", "Deployment/prod/web-7", "spec.template.spec.containers[0].image", "overlay/kustomization.yaml"},
		{"missing", "Deployment/prod/web-7", "spec.template.spec.containers[0].livenessProbe", "base/web-7/deployment.yaml"},
	} {
		b.Run(each.name, func(b *testing.B) {
			path, err := field.Parse(each.field)
			require.NoError(b, err)
			for b.Loop() {
				place := attribute.New().Overlay(dir, rendered.Resources()).Place(b.Context(), identify(each.object), path)
				require.True(b, strings.HasSuffix(place.File, each.file) && place.Line > 0, place)
			}
		})
	}
}

func seventeenServices() *txtar.Archive {
	archive := &txtar.Archive{}
	add := func(name, format string, arguments ...any) {
		archive.Files = append(archive.Files, txtar.File{Name: name, Data: fmt.Appendf(nil, format, arguments...)})
	}
	var directories, patches strings.Builder
	for i := range 17 {
		name := fmt.Sprintf("web-%d", i)
		fmt.Fprintf(&directories, "  - %s\n", name)
		if i%10 == 7 {
			fmt.Fprintf(&patches, "  - patch: |\n      {apiVersion: apps/v1, kind: Deployment, metadata: {name: %s}, spec: {replicas: 2}}\n", name)
		}
		add("base/"+name+"/kustomization.yaml", `resources: [deployment.yaml, service.yaml]
configMapGenerator: [{name: %s, literals: [a=b, c=d]}]
`, name)
		add("base/"+name+"/service.yaml", `apiVersion: v1
kind: Service
metadata: {name: %s}
spec:
  type: ClusterIP
  selector: {app: %[1]s}
  ports: [{name: http, port: 80, targetPort: http}]
`, name)
		add("base/"+name+"/deployment.yaml", `apiVersion: apps/v1
kind: Deployment
metadata: {name: %s}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers:
        - name: main
          image: nginx:1.0
          ports: [{name: http, containerPort: 80}]
          envFrom: [{configMapRef: {name: %[1]s}}]
          resources: {limits: {memory: 1Gi}, requests: {cpu: 1, memory: 1Gi}}
          securityContext: {runAsNonRoot: true, privileged: false}
`, name)
	}
	add("base/kustomization.yaml", "resources:\n%s", &directories)
	add("overlay/kustomization.yaml", `resources: [../base]
namespace: prod
labels: [{pairs: {env: prod}}]
images: [{name: nginx, newTag: '1.1'}]
patches:
%s`, &patches)
	return archive
}
