// Package inventory tells what an image holds, from the image itself and not from what its build was
// asked for: Debian packages by dpkg's status file, Go programs by the build information that the Go
// linker leaves in them, and the unpacked sizes.
package inventory

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Inventory is what an image holds. All lists are sorted, so equal images have equal inventories.
type Inventory struct {
	Digest   string    `json:"digest"` // of the manifest, sha256:…
	Release  Release   `json:"release"`
	Packages []Package `json:"packages"`
	Programs []Program `json:"programs,omitempty"`
	// Archive is the vendor's archive that was unpacked into the image. Nothing in the image tells
	// of it, so Read leaves it nil and the caller sets it.
	Archive *Archive `json:"archive,omitempty"`
	// Size is the unpacked size in bytes of what a container of the image sees, which is less than
	// the sum of the layers where one layer replaces a file of another.
	Size   int64   `json:"size"`
	Layers []Layer `json:"layers"` // lowest first
}

// Release is the distribution by os-release and debian_version.
type Release struct {
	ID        string `json:"id,omitempty"`        // debian
	VersionID string `json:"versionID,omitempty"` // 12
	Codename  string `json:"codename,omitempty"`  // bookworm
	Full      string `json:"full,omitempty"`      // 12.12
}

// Package is an installed Debian package.
type Package struct {
	Name          string `json:"name"`
	Version       string `json:"version"`
	Architecture  string `json:"architecture"`
	Source        string `json:"source"` // the source package that it was built from
	SourceVersion string `json:"sourceVersion"`
	Homepage      string `json:"homepage,omitempty"`
	Maintainer    string `json:"maintainer,omitempty"`
	InstalledSize int64  `json:"installedSize"` // bytes, as the package states it
}

// Program is an executable file that the Go toolchain linked.
type Program struct {
	Path      string   `json:"path"` // without a leading slash
	SHA256    string   `json:"sha256"`
	GoVersion string   `json:"goVersion"` // 1.26.8
	Package   string   `json:"package,omitempty"`
	Main      Module   `json:"main"` // zero if it was built outside module mode, as Debian does
	Modules   []Module `json:"modules,omitempty"`
}

// Module is a Go module. One that is replaced by another module is named as that one; one that is
// replaced by a folder has the version (devel).
type Module struct {
	Path    string `json:"path"`
	Version string `json:"version,omitempty"` // v1.37.2, or (devel)
}

// Archive is a vendor's release archive.
type Archive struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	URL     string `json:"url"`
	SHA512  string `json:"sha512"`
}

// Layer is a layer's digest as it is stored, and its sizes in bytes: as it is stored and unpacked.
type Layer struct {
	Digest     string `json:"digest"`
	StoredSize int64  `json:"storedSize"`
	Size       int64  `json:"size"`
}

const (
	statusFile    = "var/lib/dpkg/status"
	releaseFile   = "etc/os-release"
	releaseTarget = "usr/lib/os-release" // etc/os-release is usually a link to it
	versionFile   = "etc/debian_version"
)

// Read takes the inventory of an image. An image without dpkg's status file has no packages: whether
// that may be is the caller's to judge.
func Read(img v1.Image) (Inventory, error) {
	digest, err := img.Digest()
	if err != nil {
		return Inventory{}, fmt.Errorf("reading the image's digest: %w", err)
	}
	inventory := Inventory{Digest: digest.String()}
	if inventory.Layers, err = readLayers(img); err != nil {
		return Inventory{}, err
	}
	if err := inventory.readFiles(img); err != nil {
		return Inventory{}, err
	}
	return inventory, nil
}

func readLayers(img v1.Image) ([]Layer, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, fmt.Errorf("reading the image's layers: %w", err)
	}
	sizes := make([]Layer, 0, len(layers))
	for i, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return nil, fmt.Errorf("reading the digest of layer %d: %w", i+1, err)
		}
		stored, err := layer.Size()
		if err != nil {
			return nil, fmt.Errorf("reading the size of layer %s: %w", digest, err)
		}
		content, err := layer.Uncompressed()
		if err != nil {
			return nil, fmt.Errorf("opening layer %s: %w", digest, err)
		}
		var unpacked int64
		err = errors.Join(eachFile(content, func(header *tar.Header, _ io.Reader) error {
			unpacked += header.Size
			return nil
		}), content.Close())
		if err != nil {
			return nil, fmt.Errorf("reading layer %s: %w", digest, err)
		}
		sizes = append(sizes, Layer{Digest: digest.String(), StoredSize: stored, Size: unpacked})
	}
	return sizes, nil
}

// readFiles fills in what the flattened file system tells.
func (inventory *Inventory) readFiles(img v1.Image) error {
	texts := map[string][]byte{}
	files := mutate.Extract(img)
	defer files.Close()
	err := eachFile(files, func(header *tar.Header, content io.Reader) error {
		inventory.Size += header.Size
		name := clean(header.Name)
		switch {
		case name == statusFile || name == releaseFile || name == releaseTarget || name == versionFile:
			text, err := io.ReadAll(content)
			texts[name] = text
			return err
		case header.Mode&0o111 != 0:
			program, err := readProgram(name, content)
			if program != nil {
				inventory.Programs = append(inventory.Programs, *program)
			}
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the image's files: %w", err)
	}
	inventory.Release = readRelease(cmp.Or(string(texts[releaseFile]), string(texts[releaseTarget])), string(texts[versionFile]))
	if inventory.Packages, err = readStatus(bytes.NewReader(texts[statusFile])); err != nil {
		return fmt.Errorf("reading %s: %w; mend the image's build: dpkg itself could not read it either", statusFile, err)
	}
	slices.SortFunc(inventory.Programs, func(a, b Program) int { return cmp.Compare(a.Path, b.Path) })
	return nil
}

// eachFile calls visit for the regular files of a tar stream. A hard link is no regular file there,
// so its content counts once.
func eachFile(stream io.Reader, visit func(header *tar.Header, content io.Reader) error) error {
	reader := tar.NewReader(stream)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if err := visit(header, reader); err != nil {
			return fmt.Errorf("%s: %w", clean(header.Name), err)
		}
	}
}

// clean makes one form of ./a, /a and a.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }
