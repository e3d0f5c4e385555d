package rootfs_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/rootfs"
)

type file struct {
	name, content, link string
	mode                int64
	kind                byte
	uid                 int
	xattr               string
	time                int64
}

func pack(t *testing.T, files []file) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.tar")
	f, err := os.Create(path)
	require.NoError(t, err)
	w := tar.NewWriter(f)
	for _, e := range files {
		h := &tar.Header{Name: e.name, Mode: e.mode, Uid: e.uid, Typeflag: e.kind, Linkname: e.link, Size: int64(len(e.content)), ModTime: time.Unix(e.time, 0)}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if e.xattr != "" {
			h.Format = tar.FormatPAX
			h.PAXRecords = map[string]string{"SCHILY.xattr.user.x": e.xattr}
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := io.WriteString(w, e.content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	return path
}

func names(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	r := tar.NewReader(f)
	var out []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		out = append(out, h.Name)
	}
}

func TestDelta(t *testing.T) {
	base := []file{
		{name: "./", kind: tar.TypeDir, mode: 0o755},
		{name: "./etc/", kind: tar.TypeDir, mode: 0o755},
		{name: "./etc/a", content: "a", mode: 0o644},
		{name: "./etc/link", kind: tar.TypeSymlink, link: "a"},
		{name: "./usr/", kind: tar.TypeDir, mode: 0o755},
		{name: "./usr/b", content: "b", mode: 0o755},
		{name: "./usr/c", kind: tar.TypeLink, link: "./usr/b"},
	}
	// with returns base with one of its entries changed, and further ones behind.
	with := func(i int, change func(*file), more ...file) []file {
		changed := append([]file{}, base...)
		if change != nil {
			change(&changed[i])
		}
		return append(changed, more...)
	}
	tests := map[string]struct {
		full []file
		want []string
	}{
		"nothing differs":            {full: base},
		"only a time differs":        {full: with(2, func(f *file) { f.time = 99 })},
		"content":                    {with(2, func(f *file) { f.content = "A" }), []string{"./etc/", "./etc/a"}},
		"mode":                       {with(2, func(f *file) { f.mode = 0o600 }), []string{"./etc/", "./etc/a"}},
		"owner":                      {with(2, func(f *file) { f.uid = 7 }), []string{"./etc/", "./etc/a"}},
		"extended attribute":         {with(2, func(f *file) { f.xattr = "v" }), []string{"./etc/", "./etc/a"}},
		"target of a symbolic link":  {with(3, func(f *file) { f.link = "b" }), []string{"./etc/", "./etc/link"}},
		"mode of a directory":        {with(1, func(f *file) { f.mode = 0o700 }), []string{"./etc/"}},
		"a new file in a new folder": {with(0, nil, file{name: "./srv/", kind: tar.TypeDir, mode: 0o755}, file{name: "./srv/x", mode: 0o644}), []string{"./srv/", "./srv/x"}},
		"a new hard link brings its target": {
			with(0, nil, file{name: "./usr/d", kind: tar.TypeLink, link: "./usr/b"}), []string{"./usr/", "./usr/b", "./usr/d"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "delta.tar")
			require.NoError(t, rootfs.Delta(pack(t, base), pack(t, test.full), out))
			assert.Equal(t, test.want, names(t, out))
		})
	}
}

func TestDeltaCannotHide(t *testing.T) {
	base := pack(t, []file{{name: "./a", mode: 0o644}, {name: "./b", mode: 0o644}})
	full := pack(t, []file{{name: "./a", mode: 0o644}})
	err := rootfs.Delta(base, full, filepath.Join(t.TempDir(), "delta.tar"))
	assert.ErrorContains(t, err, "1 files that this image must not have: b")
}

func TestDeltaOfDamagedFile(t *testing.T) {
	base := pack(t, []file{{name: "./a", content: "aaaaaaaa", mode: 0o644}})
	whole, err := os.ReadFile(base)
	require.NoError(t, err)
	cut := filepath.Join(t.TempDir(), "cut.tar")
	require.NoError(t, os.WriteFile(cut, whole[:515], 0o644))
	err = rootfs.Delta(base, cut, filepath.Join(t.TempDir(), "delta.tar"))
	assert.ErrorContains(t, err, cut)
}
