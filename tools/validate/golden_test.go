package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

const golden = "testdata/golden"

// TestGoldenRenders shows in a review what a change does to the rendered overlays. Rewrite the files
// with: go test ./tools/validate -run TestGoldenRenders -update
func TestGoldenRenders(t *testing.T) {
	overlays, err := overlay.Find("../../overlays")
	require.NoError(t, err)
	expected := map[string]bool{}
	for _, dir := range overlays {
		name := filepath.Base(dir) + ".yaml"
		require.False(t, expected[name], "%s: another overlay has the same name", dir)
		expected[name] = true
		t.Run(filepath.Base(dir), func(t *testing.T) {
			rendered, err := overlay.Render(t.Context(), dir)
			require.NoError(t, err)
			got, err := rendered.YAML()
			require.NoError(t, err)
			file := filepath.Join(golden, name)
			if *update {
				require.NoError(t, os.WriteFile(file, got, 0o600))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got), "%s is not what the overlay renders to; run this test with -update and read the difference", file)
		})
	}
	entries, err := os.ReadDir(golden)
	require.NoError(t, err)
	for _, entry := range entries {
		if *update && !expected[entry.Name()] {
			require.NoError(t, os.Remove(filepath.Join(golden, entry.Name())))
			continue
		}
		require.True(t, expected[entry.Name()], "%s is of no overlay; run this test with -update", entry.Name())
	}
}
