package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// TestGoldenRenders shows in a review what a change does to the rendered overlays. Rewrite the files
// with: go test ./tools/validate -run TestGoldenRenders -update
func TestGoldenRenders(t *testing.T) {
	overlays, err := overlay.Find("../../overlays")
	require.NoError(t, err)
	for _, dir := range overlays {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			rendered, err := overlay.Render(dir)
			require.NoError(t, err)
			got, err := rendered.YAML()
			require.NoError(t, err)
			file := filepath.Join("testdata/golden", filepath.Base(dir)+".yaml")
			if *update {
				require.NoError(t, os.WriteFile(file, got, 0o600))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got), "%s is not what the overlay renders to; run this test with -update and read the difference", file)
		})
	}
}
