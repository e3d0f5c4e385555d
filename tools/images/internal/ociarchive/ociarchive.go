// Package ociarchive writes the files that hold an image: archives that are at once an OCI image layout
// (containerd, Podman, skopeo) and what `docker load` reads, the same bytes for the same image.
package ociarchive

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Annotations by which importers name an image.
const (
	ociName        = "org.opencontainers.image.ref.name"
	containerdName = "io.containerd.image.name"
)

// dockerEntry is an element of manifest.json, the index of what `docker load` reads.
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// Write copies the one image in the OCI archive from to the archive to, under the name reference. To
// appears when it is whole.
func Write(from, to, reference string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("read the built image: %w", err)
	}
	defer in.Close()
	files, err := locate(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	small, err := describe(files, reference)
	if err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}

	partial := to + ".partial"
	out, err := os.Create(partial)
	if err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(partial)))
		}
	}()
	if err := errors.Join(pack(out, files, small), out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("write %s: %w", partial, err)
	}
	if err := os.Rename(partial, to); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	return nil
}

// ManifestDigest returns the digest of the one image in an archive.
func ManifestDigest(file string) (string, error) {
	in, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read the image: %w", err)
	}
	defer in.Close()
	files, err := locate(in)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	var index v1.IndexManifest
	if err := decode(files, "index.json", &index); err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	if len(index.Manifests) != 1 {
		return "", fmt.Errorf("read %s: index.json lists %d images, one is wanted", file, len(index.Manifests))
	}
	return index.Manifests[0].Digest.String(), nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// locate finds where each file of an uncompressed tar file lies.
func locate(in *os.File) (map[string]*io.SectionReader, error) {
	files := map[string]*io.SectionReader{}
	r := tar.NewReader(in)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		offset, err := in.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		files[path.Clean(h.Name)] = io.NewSectionReader(in, offset, h.Size)
	}
}

// describe returns the files that name the image and its parts.
func describe(files map[string]*io.SectionReader, reference string) (map[string][]byte, error) {
	var index v1.IndexManifest
	if err := decode(files, "index.json", &index); err != nil {
		return nil, err
	}
	if len(index.Manifests) != 1 {
		return nil, fmt.Errorf("index.json lists %d images, one is wanted", len(index.Manifests))
	}
	var manifest v1.Manifest
	if err := decode(files, blob(index.Manifests[0].Digest), &manifest); err != nil {
		return nil, err
	}
	index.Manifests[0].Annotations = map[string]string{ociName: reference, containerdName: reference}
	entry := dockerEntry{Config: blob(manifest.Config.Digest), RepoTags: []string{reference}}
	for _, layer := range manifest.Layers {
		entry.Layers = append(entry.Layers, blob(layer.Digest))
	}
	small := map[string][]byte{}
	for name, value := range map[string]any{"index.json": index, "manifest.json": []dockerEntry{entry}} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		small[name] = text
	}
	return small, nil
}

func blob(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }

func decode(files map[string]*io.SectionReader, name string, into any) error {
	file := files[name]
	if file == nil {
		return fmt.Errorf("%s is missing", name)
	}
	if err := json.NewDecoder(io.NewSectionReader(file, 0, file.Size())).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// pack writes the archive in one order and with one time, so that the same image gives the same bytes.
func pack(out io.Writer, files map[string]*io.SectionReader, small map[string][]byte) error {
	names := map[string]bool{}
	for name := range files {
		names[name] = true
	}
	for name := range small {
		names[name] = true
	}
	w := tar.NewWriter(out)
	for _, name := range slices.SortedFunc(maps.Keys(names), byReading) {
		var content io.Reader = strings.NewReader(string(small[name]))
		size := int64(len(small[name]))
		if file := files[name]; small[name] == nil {
			content, size = io.NewSectionReader(file, 0, file.Size()), file.Size()
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		if _, err := io.Copy(w, content); err != nil {
			return err
		}
	}
	return w.Close()
}

// byReading puts the indexes before the blobs: a reader knows at once what it has before it.
func byReading(a, b string) int {
	if inBlobs := strings.HasPrefix(a, "blobs/"); inBlobs != strings.HasPrefix(b, "blobs/") {
		if inBlobs {
			return 1
		}
		return -1
	}
	return strings.Compare(a, b)
}
