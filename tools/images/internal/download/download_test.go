package download_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/download"
	"github.com/ft-services/ft-services/tools/images/internal/recipe"
)

func archiveOf(url string, content []byte) recipe.Archive {
	sum := sha512.Sum512(content)
	return recipe.Archive{File: "a.tar.gz", URL: url, Size: int64(len(content)), SHA512: hex.EncodeToString(sum[:])}
}

func TestGet(t *testing.T) {
	content := []byte("the release")
	requests := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		switch r.URL.Path {
		case "/good":
			_, _ = w.Write(content)
		case "/other":
			_, _ = w.Write([]byte("another one"))
		case "/endless":
			for i := 0; i < 1000; i++ {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 1000))
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()

	t.Run("fetched once, then taken from the folder", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "downloads")
		before := requests
		for range 2 {
			file, err := download.Get(t.Context(), server.Client(), dir, archiveOf(server.URL+"/good", content))
			require.NoError(t, err)
			got, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, content, got)
		}
		assert.Equal(t, 1, requests-before)
	})
	t.Run("a file of one's own", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "a.tar.gz"), content, 0o644))
		before := requests
		_, err := download.Get(t.Context(), server.Client(), dir, archiveOf(server.URL+"/good", content))
		require.NoError(t, err)
		assert.Equal(t, before, requests)
	})
	for name, test := range map[string]struct {
		path, local, want string
		unavailable       bool
	}{
		"not published":            {path: "/none", want: "404", unavailable: true},
		"another file of the size": {path: "/other", want: "is expected: it is not the file that was published"},
		"a larger file":            {path: "/endless", want: "bytes, 11 are expected"},
		"a damaged local file":     {path: "/good", local: "the damage!", want: "remove it and try again"},
		"a cut local file":         {path: "/good", local: "the rel", want: "has 7 bytes, 11 are expected"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if test.local != "" {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "a.tar.gz"), []byte(test.local), 0o644))
			}
			_, err := download.Get(t.Context(), server.Client(), dir, archiveOf(server.URL+test.path, content))
			require.ErrorContains(t, err, test.want)
			unavailable := (*download.UnavailableError)(nil)
			assert.Equal(t, test.unavailable, errors.As(err, &unavailable))
			partial, err := filepath.Glob(filepath.Join(dir, "*.partial"))
			require.NoError(t, err)
			assert.Empty(t, partial)
		})
	}
	t.Run("no such host", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		_, err := download.Get(t.Context(), download.Client(), t.TempDir(), archiveOf(server.URL, content))
		unavailable := (*download.UnavailableError)(nil)
		require.ErrorAs(t, err, &unavailable)
		assert.ErrorContains(t, err, "put the file there")
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := download.Get(ctx, server.Client(), t.TempDir(), archiveOf(server.URL+"/good", content))
		require.ErrorIs(t, err, context.Canceled)
		unavailable := (*download.UnavailableError)(nil)
		assert.NotErrorAs(t, err, &unavailable)
	})
}

func tarGz(t *testing.T, headers ...tar.Header) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.tar.gz")
	out, err := os.Create(file)
	require.NoError(t, err)
	z := gzip.NewWriter(out)
	w := tar.NewWriter(z)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = 1
		}
		require.NoError(t, w.WriteHeader(&h))
		if h.Size == 1 {
			_, err := w.Write([]byte("x"))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	require.NoError(t, out.Close())
	return file
}

func TestUnpack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "to")
	err := download.Unpack(tarGz(t,
		tar.Header{Name: "grafana-1/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "grafana-1/bin/grafana", Typeflag: tar.TypeReg, Mode: 0o775},
		tar.Header{Name: "grafana-1/conf/defaults.ini", Typeflag: tar.TypeReg, Mode: 0o666},
		tar.Header{Name: "grafana-1/docs/a/b", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "grafana-1/documents", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "grafana-1/link", Typeflag: tar.TypeSymlink, Linkname: "documents"},
		tar.Header{Name: "grafana-1/public/build/a.js", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "grafana-1/public/build/a.js.map", Typeflag: tar.TypeReg, Mode: 0o644},
	), dir, []string{"docs", "public/*/*.map"})
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(dir, "public", "build", "a.js"))
	assert.NoFileExists(t, filepath.Join(dir, "public", "build", "a.js.map"))
	info, err := os.Stat(filepath.Join(dir, "bin", "grafana"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), info.Mode())
	info, err = os.Stat(filepath.Join(dir, "conf", "defaults.ini"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode())
	assert.NoDirExists(t, filepath.Join(dir, "docs"))
	assert.FileExists(t, filepath.Join(dir, "link"))
}

func TestUnpackHostile(t *testing.T) {
	for name, headers := range map[string][]tar.Header{
		"through a link": {
			{Name: "x/out", Typeflag: tar.TypeSymlink, Linkname: "../../outside"},
			{Name: "x/out/file", Typeflag: tar.TypeReg, Mode: 0o644},
		},
		"a device":   {{Name: "x/null", Typeflag: tar.TypeChar}},
		"file twice": {{Name: "x/a", Typeflag: tar.TypeReg}, {Name: "x/a", Typeflag: tar.TypeReg}},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(top, "outside"), 0o755))
			assert.Error(t, download.Unpack(tarGz(t, headers...), filepath.Join(top, "a", "to"), nil))
			left, err := os.ReadDir(filepath.Join(top, "outside"))
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
	t.Run("above the folder", func(t *testing.T) {
		top := t.TempDir()
		require.NoError(t, download.Unpack(tarGz(t, tar.Header{Name: "x/../../../evil/a", Typeflag: tar.TypeReg}), filepath.Join(top, "to"), nil))
		assert.FileExists(t, filepath.Join(top, "to", "a"), "the path is cleaned before it is used")
		assert.NoDirExists(t, filepath.Join(top, "evil"))
	})
	t.Run("no archive", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "a.tar.gz")
		require.NoError(t, os.WriteFile(file, []byte("junk"), 0o644))
		assert.ErrorContains(t, download.Unpack(file, t.TempDir(), nil), file)
	})
}
