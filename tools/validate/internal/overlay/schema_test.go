package overlay_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// TestASchemaOfItsOwnChangesNoOtherOverlay has an overlay whose OpenAPI schema says that containers
// are merged by their image, and one that relies on their names.
func TestASchemaOfItsOwnChangesNoOtherOverlay(t *testing.T) {
	const pod = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: a, image: one}
    - {name: b, image: two}
`
	const patch = `
patches:
  - patch: |
      apiVersion: v1
      kind: Pod
      metadata: {name: web}
      spec: {containers: [{name: b, image: one}]}
`
	const schema = `{"definitions": {
  "Pod": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}],
    "properties": {"spec": {"type": "object", "properties": {"containers": {"type": "array",
      "items": {"type": "object"}, "x-kubernetes-patch-merge-key": "image", "x-kubernetes-patch-strategy": "merge"}}}}}}}`
	root := write(t, map[string]string{
		"plain/pod.yaml":              pod,
		"plain/kustomization.yaml":    "resources: [pod.yaml]" + patch,
		"custom/pod.yaml":             pod,
		"custom/schema.json":          schema,
		"custom/kustomization.yaml":   "openapi: {path: schema.json}\nresources: [pod.yaml]" + patch,
		"escaped/pod.yaml":            pod,
		"escaped/schema.json":         schema,
		"escaped/kustomization.yaml":  "\"open\\x61pi\": {path: schema.json}\nresources: [pod.yaml]" + patch,
		"above/kustomization.yaml":    "resources: [../custom]\n",
		"merged/pod.yaml":             pod,
		"merged/schema.json":          schema,
		"merged/kustomization.yaml":   "resources: [pod.yaml]\n<<: {OpenAPI: {path: schema.json}}" + patch,
		"version/pod.yaml":            pod,
		"version/kustomization.yaml":  "openapi: {version: v0.0.0}\nresources: [pod.yaml]" + patch,
		"mistyped/pod.yaml":           pod,
		"mistyped/schema.json":        `{"definitions": {"Pod": {"x-kubernetes-group-version-kind": [{"version": 1}]}}}`,
		"mistyped/kustomization.yaml": "openapi: {path: schema.json}\nresources: [pod.yaml]" + patch,
	})
	text := func(ctx context.Context, name string) string {
		rendered, err := overlay.Render(ctx, filepath.Join(root, name))
		if errors.Is(err, overlay.ErrAlone) {
			return "alone"
		}
		if err != nil {
			return "error"
		}
		text, err := rendered.YAML()
		require.NoError(t, err)
		return string(text)
	}
	alone := overlay.Alone(t.Context())
	byName, byImage := text(t.Context(), "plain"), text(alone, "custom")
	require.Contains(t, byName, "image: one\n    name: a")
	require.NotEqual(t, byName, byImage, "the schema has an effect where it belongs")
	for name, want := range map[string]string{
		"custom": byImage, "escaped": byImage, "above": byImage, "merged": byImage, "version": "error", "mistyped": "error",
	} {
		assert.Equal(t, "alone", text(t.Context(), name), name)
		assert.Equal(t, want, text(alone, name), name)
		assert.Equal(t, byName, text(t.Context(), "plain"), "after %s", name)
		assert.Equal(t, byName, text(alone, "plain"), "after %s", name)
	}
}
