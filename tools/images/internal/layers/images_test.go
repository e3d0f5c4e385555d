//go:build imagetest

package layers_test

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/inventory"
	"github.com/ft-services/ft-services/tools/images/internal/layers"
)

var archives = flag.String("archives", "../../../../out/images/*.oci.tar", "the images' archives")

// TestBuiltImages holds the images as they were built to the rules, and prints what is in them.
func TestBuiltImages(t *testing.T) {
	files, err := filepath.Glob(*archives)
	require.NoError(t, err)
	require.NotEmpty(t, files, "no archive matches %s: build the images with `make images`", *archives)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".oci.tar"), func(t *testing.T) {
			t.Parallel()
			image, err := tarball.ImageFromPath(file, nil)
			require.NoError(t, err, "opening %s: build it anew with `make images`", file)

			findings, err := layers.Check(image, layers.Options{})
			require.NoError(t, err)
			for _, finding := range findings {
				t.Error(finding)
			}

			held, err := inventory.Read(image)
			require.NoError(t, err)
			assert.Equal(t, "debian", held.Release.ID)
			assert.NotEmpty(t, held.Packages, "an image without a list of packages can not be scanned for known holes")
			var names []string
			for _, found := range held.Packages {
				names = append(names, found.Name+"="+found.Version)
			}
			for _, program := range held.Programs {
				names = append(names, program.Path+" (Go "+program.GoVersion+")")
			}
			t.Logf("Debian %s, %d packages, %d Go programs, %.1f MB in %d layers:\n%s", held.Release.Full,
				len(held.Packages), len(held.Programs), float64(held.Size)/1e6, len(held.Layers), strings.Join(names, " "))
		})
	}
}
