package ociarchive_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/ociarchive"
)

const reference = "localhost/ft-services/web:1.0-1"

// ociTar writes images as an OCI layout in a tar file, as buildah does.
func ociTar(t *testing.T, images ...v1.Image) string {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	require.NoError(t, err)
	for _, image := range images {
		require.NoError(t, path.AppendImage(image))
	}
	file := filepath.Join(t.TempDir(), "oci.tar")
	out, err := os.Create(file)
	require.NoError(t, err)
	w := tar.NewWriter(out)
	require.NoError(t, w.AddFS(os.DirFS(dir)))
	require.NoError(t, w.Close())
	require.NoError(t, out.Close())
	return file
}

func TestWrite(t *testing.T) {
	image, err := random.Image(3000, 2)
	require.NoError(t, err)
	from := ociTar(t, image)
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	require.NoError(t, ociarchive.Write(from, first, reference))
	require.NoError(t, ociarchive.Write(from, second, reference))
	a, err := os.ReadFile(first)
	require.NoError(t, err)
	b, err := os.ReadFile(second)
	require.NoError(t, err)
	assert.Equal(t, a, b, "the same image gives the same bytes")

	// As Docker reads it.
	tag, err := name.NewTag(reference)
	require.NoError(t, err)
	back, err := tarball.ImageFromPath(first, &tag)
	require.NoError(t, err)
	want, err := image.ConfigName()
	require.NoError(t, err)
	got, err := back.ConfigName()
	require.NoError(t, err)
	assert.Equal(t, want, got)
	layers, err := back.Layers()
	require.NoError(t, err)
	assert.Len(t, layers, 2)

	// As containerd and skopeo read it.
	unpacked := t.TempDir()
	in, err := os.Open(first)
	require.NoError(t, err)
	defer in.Close()
	extract(t, tar.NewReader(in), unpacked)
	index, err := layout.ImageIndexFromPath(unpacked)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	digest, err := image.Digest()
	require.NoError(t, err)
	assert.Equal(t, digest, manifest.Manifests[0].Digest)
	assert.Equal(t, reference, manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"])
	told, err := ociarchive.ManifestDigest(first)
	require.NoError(t, err)
	assert.Equal(t, digest.String(), told)
}

func extract(t *testing.T, r *tar.Reader, dir string) {
	t.Helper()
	for {
		h, err := r.Next()
		if err != nil {
			return
		}
		content := make([]byte, h.Size)
		for n := 0; n < len(content); {
			read, err := r.Read(content[n:])
			n += read
			if n < len(content) {
				require.NoError(t, err)
			}
		}
		path := filepath.Join(dir, h.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o644))
	}
}

func TestBadArchives(t *testing.T) {
	image, err := random.Image(3000, 1)
	require.NoError(t, err)
	other, err := random.Image(3000, 1)
	require.NoError(t, err)
	whole, err := os.ReadFile(ociTar(t, image))
	require.NoError(t, err)
	cut := filepath.Join(t.TempDir(), "cut")
	require.NoError(t, os.WriteFile(cut, whole[:2000], 0o644))
	for label, test := range map[string]struct{ file, want string }{
		"missing":    {filepath.Join(t.TempDir(), "none"), "no such file"},
		"cut off":    {cut, cut},
		"two images": {ociTar(t, image, other), "lists 2 images"},
		"no image":   {ociTar(t), "lists 0 images"},
	} {
		t.Run(label, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "to")
			require.ErrorContains(t, ociarchive.Write(test.file, to, reference), test.want)
			left, err := os.ReadDir(filepath.Dir(to))
			require.NoError(t, err)
			assert.Empty(t, left, "nothing half-written stays")
			_, err = ociarchive.ManifestDigest(test.file)
			assert.Error(t, err)
		})
	}
}
