package overlay_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

func tree(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, file := range files {
		path := filepath.Join(root, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	return root
}

func TestFind(t *testing.T) {
	tests := map[string]struct {
		files []string
		want  []string
		says  string
	}{
		"sorted, parts of an overlay left out": {
			files: []string{"b/kustomization.yaml", "b/services/kustomization.yaml", "a/kustomization.yml", "c/Kustomization"},
			want:  []string{"a", "b", "c"},
		},
		"grouped": {
			files: []string{"europe/one/kustomization.yaml", "europe/two/kustomization.yaml"},
			want:  []string{"europe/one", "europe/two"},
		},
		"files and hidden directories are no overlays": {
			files: []string{"README.md", ".git/config", "a/kustomization.yaml", "b/.cache/kustomization.yaml", "b/c/kustomization.yaml"},
			want:  []string{"a", "b/c"},
		},
		"one without a kustomization beside a sound one": {
			files: []string{"a/kustomization.yaml", "b/service.yaml"},
			want:  []string{"a", "b"},
		},
		"a group's member without a kustomization": {
			files: []string{"europe/one/kustomization.yaml", "europe/two/service.yaml", "europe/README.md"},
			want:  []string{"europe/one", "europe/two"},
		},
		"none at all": {
			says: "no overlay found",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := tree(t, test.files...)
			found, err := overlay.Find(root)
			var names []string
			for _, dir := range found {
				short, err := filepath.Rel(root, dir)
				require.NoError(t, err)
				names = append(names, short)
			}
			assert.Equal(t, test.want, names)
			if test.says == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.says)
		})
	}
}

func TestFindFollowsLinks(t *testing.T) {
	elsewhere := tree(t, "kustomization.yaml")
	root := tree(t, "group/one/kustomization.yaml")
	for name, target := range map[string]string{
		"linked":         elsewhere,
		"dangling":       "nowhere",
		"group/deeper":   elsewhere,
		"group/dangling": "nowhere",
		"group/circle":   "..",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(root, name)))
	}
	found, err := overlay.Find(root)
	require.NoError(t, err)
	var want []string
	for _, name := range []string{"dangling", "group/dangling", "group/deeper", "group/one", "linked"} {
		want = append(want, filepath.Join(root, name))
	}
	assert.Equal(t, want, found)
}

func TestWhatIsFoundWithoutAKustomizationFails(t *testing.T) {
	root := tree(t, "group/empty/service.yaml")
	require.NoError(t, os.Symlink("nowhere", filepath.Join(root, "dangling")))
	found, err := overlay.Find(root)
	require.NoError(t, err)
	require.Len(t, found, 2)
	for i, says := range []string{"dangling: no such file or directory", "empty: is no overlay: it holds no kustomization.yaml"} {
		_, err := overlay.Render(t.Context(), found[i])
		assert.ErrorContains(t, err, says)
	}
}

func TestRenderEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := overlay.Render(ctx, "../../testdata/tree/overlays/good")
	assert.ErrorIs(t, err, context.Canceled)
}
