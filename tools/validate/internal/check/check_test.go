package check_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/check"
	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
	"github.com/ft-services/ft-services/tools/validate/internal/waiver"
)

func newChecker(t *testing.T) *check.Checker {
	t.Helper()
	policies, err := policy.Load("../../testdata/tree/policies")
	require.NoError(t, err)
	schemas, err := schema.Load()
	require.NoError(t, err)
	waivers, err := waiver.Load("none", true, time.Now())
	require.NoError(t, err)
	return &check.Checker{Policies: policies, Decoder: manifest.NewDecoder(schemas), Waivers: waivers}
}

// TestRunKeepsTheOrder checks many overlays at once, which is also what the race detector looks at.
func TestRunKeepsTheOrder(t *testing.T) {
	root := t.TempDir()
	var dirs []string
	for i := range 8 {
		dir := filepath.Join(root, fmt.Sprint(i))
		require.NoError(t, os.CopyFS(dir, os.DirFS("../../testdata/tree/overlays/good")))
		if i%2 == 1 {
			breakOverlay(t, dir)
		}
		if i == 4 {
			require.NoError(t, os.Remove(filepath.Join(dir, "service.yaml")))
		}
		dirs = append(dirs, dir)
	}
	result := newChecker(t).Run(context.Background(), dirs)
	require.Len(t, result.Overlays, len(dirs))
	for i, overlay := range result.Overlays {
		assert.Equal(t, dirs[i], overlay.Name)
		switch {
		case i == 4:
			assert.Contains(t, overlay.Error, "service.yaml: no such file or directory")
		case i%2 == 1:
			require.Len(t, overlay.Findings, 1)
			assert.Equal(t, "services/no_nodeport", overlay.Findings[0].Policy)
			assert.Equal(t, "Service/apps/web", overlay.Findings[0].Object)
			assert.Equal(t, filepath.Join(dirs[i], "service.yaml"), overlay.Findings[0].Source)
		default:
			assert.Empty(t, overlay.Findings)
			assert.Equal(t, 1, overlay.Objects)
		}
	}
}

func breakOverlay(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(dir, "kustomization.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`resources: [service.yaml]
patches:
  - target: {kind: Service}
    patch: |
      - {op: add, path: /spec/type, value: NodePort}
`), 0o600))
}

func TestAnOverlayWithoutObjectsFails(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("namespace: apps\n"), 0o600))
	result := newChecker(t).Run(context.Background(), []string{dir})
	assert.Contains(t, result.Overlays[0].Error, "yields no object")
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	result := newChecker(t).Run(ctx, []string{"../../testdata/tree/overlays/good"})
	assert.Contains(t, result.Overlays[0].Error, "context canceled")
}
