// Package tiny makes images in memory, for tests.
package tiny

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"
)

// Entry is an entry of a layer: a header and, for a regular file, its content.
type Entry struct {
	tar.Header
	Content string
}

// File is a regular file of root's that all may read.
func File(name, content string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, Content: content}
}

// Folder is a directory of root's.
func Folder(name string, mode int64) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}}
}

// Link is a symbolic link; its mode is what every tar writes for one.
func Link(name, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}}
}

// HardLink is a further name of an earlier file.
func HardLink(name, target string, mode int64) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: mode}}
}

// With returns the entry after a change of its header.
func (e Entry) With(change func(*tar.Header)) Entry {
	change(&e.Header)
	return e
}

// Mode returns the entry with other permissions.
func (e Entry) Mode(mode int64) Entry {
	return e.With(func(header *tar.Header) { header.Mode = mode })
}

// Owner returns the entry with another owner.
func (e Entry) Owner(uid, gid int) Entry {
	return e.With(func(header *tar.Header) { header.Uid, header.Gid = uid, gid })
}

// Image makes an image of layers, lowest first, with the user that all of the project's images have.
func Image(t *testing.T, layers ...[]Entry) v1.Image {
	t.Helper()
	image, err := mutate.Config(empty.Image, v1.Config{User: "10001:10001"})
	require.NoError(t, err)
	for _, entries := range layers {
		image, err = mutate.AppendLayers(image, layer(t, entries))
		require.NoError(t, err)
	}
	return image
}

func layer(t *testing.T, entries []Entry) v1.Layer {
	t.Helper()
	var stream bytes.Buffer
	writer := tar.NewWriter(&stream)
	for _, entry := range entries {
		entry.Size = int64(len(entry.Content))
		require.NoError(t, writer.WriteHeader(&entry.Header))
		_, err := writer.Write([]byte(entry.Content))
		require.NoError(t, err)
	}
	require.NoError(t, writer.Close())
	made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(stream.Bytes())), nil
	})
	require.NoError(t, err)
	return made
}
