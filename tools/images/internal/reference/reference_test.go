package reference_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/reference"
)

func TestUpstream(t *testing.T) {
	for version, want := range map[string]string{
		"1.22.1-9+deb12u11":     "1.22.1",
		"1:10.11.19-0+deb12u1":  "10.11.19",
		"4:5.2.1+dfsg-1":        "5.2.1",
		"1.6.7~rc0-1+b7":        "1.6.7",
		"6.1.9+dfsg1-0+deb12u1": "6.1.9",
		"2024a":                 "2024a",
	} {
		assert.Equal(t, want, reference.Upstream(version), version)
	}
}

func TestParse(t *testing.T) {
	name, ref, err := reference.Parse("registry.example.com:5000/a/b/web:1.2.3-4")
	require.NoError(t, err)
	assert.Equal(t, "web", name)
	assert.Equal(t, reference.Reference{Repository: "registry.example.com:5000/a/b/web", Version: "1.2.3", Revision: "4"}, ref)
	assert.Equal(t, "1.2.3-4", ref.Tag())
	assert.Equal(t, "registry.example.com:5000/a/b/web:1.2.3-4", ref.String())
	for _, bad := range []string{"web:1.0-1", "localhost/web", "localhost/web:latest", "localhost/web:1.0", "localhost/web:1.0-x", "localhost/web@sha256:00", ""} {
		_, _, err := reference.Parse(bad)
		assert.ErrorContains(t, err, "is not REGISTRY/PATH/NAME", bad)
	}
}

// overlay writes an overlay with one Deployment of the given images.
func overlay(t *testing.T, container, init string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: [d.yaml]\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "d.yaml"), []byte(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      initContainers: [{name: i, image: "`+init+`"}]
      containers: [{name: c, image: "`+container+`"}]
`), 0o644))
	return dir
}

func TestFromOverlay(t *testing.T) {
	found, err := reference.FromOverlay(overlay(t, "localhost/x/web:1.0-1", "localhost/x/tool:2.0-3"))
	require.NoError(t, err)
	assert.Equal(t, map[string]reference.Reference{
		"web":  {Repository: "localhost/x/web", Version: "1.0", Revision: "1"},
		"tool": {Repository: "localhost/x/tool", Version: "2.0", Revision: "3"},
	}, found)

	_, err = reference.FromOverlay(overlay(t, "localhost/x/web:1.0-1", "localhost/x/web:1.0-2"))
	require.ErrorContains(t, err, "uses two images called web")
	_, err = reference.FromOverlay(overlay(t, "nginx:latest", "localhost/x/web:1.0-2"))
	require.ErrorContains(t, err, `image "nginx:latest" is not REGISTRY`)
	_, err = reference.FromOverlay(t.TempDir())
	assert.ErrorContains(t, err, "render overlay")
}

// Both overlays of this repository use the same versions of the same images.
func TestRepository(t *testing.T) {
	minikube, err := reference.FromOverlay("../../../../overlays/minikube")
	require.NoError(t, err)
	production, err := reference.FromOverlay("../../../../overlays/production")
	require.NoError(t, err)
	for name, ref := range minikube {
		assert.Equal(t, ref.Tag(), production[name].Tag(), name)
		assert.Equal(t, "localhost/ft-services/"+name, ref.Repository)
	}
	assert.Len(t, production, len(minikube))
}
