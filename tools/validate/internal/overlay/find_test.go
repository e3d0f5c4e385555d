package overlay_test

import (
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
			files: []string{"README.md", ".git/config", "a/kustomization.yaml"},
			want:  []string{"a"},
		},
		"one without a kustomization beside a sound one": {
			files: []string{"a/kustomization.yaml", "b/service.yaml"},
			want:  []string{"a"},
			says:  "b: is no overlay: it holds no kustomization.yaml",
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

func TestFindFollowsALinkToAnOverlay(t *testing.T) {
	elsewhere := tree(t, "kustomization.yaml")
	root := t.TempDir()
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(root, "linked")))
	found, err := overlay.Find(root)
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(root, "linked")}, found)

	require.NoError(t, os.Symlink("nowhere", filepath.Join(root, "dangling")))
	_, err = overlay.Find(root)
	assert.ErrorContains(t, err, "dangling")
}
