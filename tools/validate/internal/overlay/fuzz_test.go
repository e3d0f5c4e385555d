package overlay_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// FuzzKustomization expects of whatever stands in a kustomization and in a file beside it that it
// renders, or ends with one line about a file, in time.
func FuzzKustomization(f *testing.F) {
	f.Add("resources: [service.yaml]\n", service)
	f.Add("resources: [.]\n", service)
	f.Add("resources: [service.yaml, https://127.0.0.1:1/x]\n", service)
	f.Add("resources: [service.yaml]\nnamePrefix: a-\nnamespace: apps\nlabels: [{pairs: {a: b}, includeSelectors: true}]\n", service)
	f.Add("resources: [service.yaml]\npatches: [{target: {kind: Service}, patch: '[{op: remove, path: /kind}]'}]\n", service)
	f.Add("resources: [service.yaml]\npatches: [{patch: \"{apiVersion: v1, kind: Service, metadata: {name: web}, spec: &a {selector: *a}}\"}]\n", service)
	f.Add("resources: [service.yaml]\nreplacements: [{source: {kind: Service}, targets: [{select: {kind: Service}, fieldPaths: [spec.ports.0.name]}]}]\n", service)
	f.Add("resources: [service.yaml]\nconfigMapGenerator: [{name: a, envs: [service.yaml], literals: [a=b]}]\n", "a=b\n")
	f.Add("resources: [service.yaml]\ntransformers: ['{apiVersion: builtin, kind: PrefixTransformer, metadata: {name: x}, prefix: a-}']\n", service)
	f.Add("resources: [service.yaml]\nopenapi: {path: service.yaml}\n", `{"definitions": {}}`)
	f.Add("resources: [service.yaml]\nimages: [{name: a, newTag: b}]\nreplicas: [{name: web, count: 3}]\n", "apiVersion: v1\nkind: List\nitems: [{a: b}]\n")
	f.Fuzz(func(t *testing.T, kustomization, resource string) {
		root := write(t, map[string]string{"overlay/kustomization.yaml": kustomization, "overlay/service.yaml": resource})
		// What names a file elsewhere would make the outcome depend on this machine.
		if strings.Contains(kustomization, "..") || strings.Contains(kustomization, "/") && !strings.Contains(kustomization, "path: /") {
			t.Skip()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		rendered, err := overlay.Render(overlay.Alone(ctx), filepath.Join(root, "overlay"))
		require.NoError(t, ctx.Err(), "in time")
		if err != nil {
			assert.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, err.Error(), "goroutine ")
			assert.Contains(t, err.Error(), filepath.Join(root, "overlay"))
			return
		}
		if _, err = rendered.YAML(); err != nil {
			assert.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, err.Error(), "interface")
		}
	})
}
