package check_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/check"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/report"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
	"github.com/ft-services/ft-services/tools/validate/internal/waiver"
)

func newChecker(t *testing.T) *check.Checker {
	t.Helper()
	policies, err := policy.Load("../../testdata/tree/policies")
	require.NoError(t, err)
	kubernetes, err := check.KubernetesOf(nil)
	require.NoError(t, err)
	waivers, err := waiver.Load("none", true, nil, time.Now())
	require.NoError(t, err)
	return &check.Checker{Policies: policies, Schemas: schema.NewLibrary(), Kubernetes: kubernetes, Waivers: waivers}
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
		if i == 4 {
			assert.Contains(t, overlay.Error, "service.yaml: no such file or directory")
			continue
		}
		assert.Empty(t, overlay.Error)
		assert.Equal(t, 1, overlay.Objects)
	}
	require.Len(t, result.Findings, 4)
	for i, finding := range result.Findings {
		dir := dirs[2*i+1]
		assert.Equal(t, "services/no_nodeport", finding.Policy)
		assert.Equal(t, "Service/apps/web", finding.Object)
		assert.Equal(t, filepath.Join(dir, "kustomization.yaml")+":5:44", finding.Position())
		assert.Equal(t, []string{dir}, finding.Overlays)
	}
}

// TestTheOrderIsTheSameHoweverManyRunAtOnce compares whole reports in every format.
func TestTheOrderIsTheSameHoweverManyRunAtOnce(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(root, "base"), os.DirFS("../../testdata/tree/overlays/good")))
	overlayOf := func(name, content string) string {
		dir := filepath.Join(root, name)
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(content), 0o600))
		return dir
	}
	for i, patch := range []string{"/spec/type, value: NodePort", "/spec/ports/0/prt, value: 1", "/spec/tpye, value: NodePort"} {
		overlayOf(fmt.Sprintf("patched-%d", i), `resources: [../base]
patches:
  - target: {kind: Service}
    patch: |
      - {op: add, path: `+patch+`}
`)
	}
	var dirs []string
	for i := range 12 {
		dirs = append(dirs, overlayOf(fmt.Sprint(i), fmt.Sprintf("resources: [../patched-%d]\n", i%3)))
	}
	dirs = append(dirs, filepath.Join(root, "none"))
	written := map[string]string{}
	for _, jobs := range []int{1, 2, 7, 100, 0} {
		checker := newChecker(t)
		checker.Jobs = jobs
		result := checker.Run(context.Background(), dirs)
		require.Len(t, result.Findings, 3, "the same finding is one")
		assert.Len(t, result.Findings[0].Overlays, 4)
		for name, format := range report.Formats() {
			var text bytes.Buffer
			require.NoError(t, format(&text, result, false))
			if jobs == 1 {
				written[name] = text.String()
			}
			assert.Equal(t, written[name], text.String(), "%s with %d jobs", name, jobs)
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

func TestSelection(t *testing.T) {
	for name, test := range map[string]struct {
		selection check.Selection
		want      []string
	}{
		"all":         {check.Selection{}, []string{"schema/strict", "services/no_nodeport"}},
		"only":        {check.Selection{Only: []string{"services/*"}}, []string{"services/no_nodeport"}},
		"skip":        {check.Selection{Skip: []string{"*/no_*"}}, []string{"schema/strict"}},
		"both":        {check.Selection{Only: []string{"schema/*", "services/*"}, Skip: []string{"services/*"}}, []string{"schema/strict"}},
		"none of two": {check.Selection{Only: []string{"waivers/*"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: [service.yaml]"), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "service.yaml"), []byte(`{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: NodePort, typo: 1}}`), 0o600))
			checker := newChecker(t)
			checker.Selection = test.selection
			var got []string
			for _, finding := range checker.Run(context.Background(), []string{dir}).Findings {
				got = append(got, finding.Policy)
			}
			slices.Sort(got)
			assert.Equal(t, test.want, got)
		})
	}
}
