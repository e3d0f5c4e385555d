package pod

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// ErrNoArchive means that an image has not been built.
var ErrNoArchive = errors.New("the image's archive is missing")

// image is an image whose root filesystem lies in a directory.
type image struct {
	rootfs string
	config v1.Config
}

// shortName is `nginx` for localhost/ft-services/nginx:1.22.1-1.
func shortName(reference string) string {
	name, _, _ := strings.Cut(path.Base(reference), ":")
	return name
}

// loadImage unpacks an image from an archive into a directory that it makes.
func loadImage(archive, reference, directory string) (*image, error) {
	if _, err := os.Stat(archive); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s; run `make images`", ErrNoArchive, archive)
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(archive) })
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of %s: %w", archive, err)
	}
	if len(manifest) != 1 || !slices.Contains(manifest[0].RepoTags, reference) {
		names, _ := json.Marshal(manifest)
		return nil, fmt.Errorf("%s holds not %s but %s; run `make images`", archive, reference, names)
	}
	opened, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", archive, err)
	}
	config, err := opened.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of %s: %w", archive, err)
	}
	content := mutate.Extract(opened)
	defer content.Close()
	if err := unpack(content, directory); err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", archive, err)
	}
	return &image{rootfs: directory, config: config.Config}, nil
}

// unpack writes the entries of a root filesystem. They come with the last layer first, so a directory
// may come after what is in it, and a hard link before its target.
func unpack(content io.Reader, directory string) error {
	if err := os.Mkdir(directory, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		return err
	}
	defer root.Close()
	var links []*tar.Header
	for entries := tar.NewReader(content); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		header.Name = path.Clean(strings.TrimPrefix(header.Name, "/"))
		if header.Typeflag == tar.TypeLink {
			links = append(links, header)
			continue
		}
		if err := unpackEntry(root, header, entries); err != nil {
			return fmt.Errorf("entry %s: %w", header.Name, err)
		}
	}
	for _, link := range links {
		target := path.Clean(strings.TrimPrefix(link.Linkname, "/"))
		if err := root.MkdirAll(path.Dir(link.Name), 0o755); err != nil {
			return fmt.Errorf("entry %s: %w", link.Name, err)
		}
		if err := root.Link(target, link.Name); err != nil {
			return fmt.Errorf("entry %s: %w", link.Name, err)
		}
	}
	return nil
}

func unpackEntry(root *os.Root, header *tar.Header, content io.Reader) error {
	if parent := path.Dir(header.Name); parent != "." {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	switch header.Typeflag {
	case tar.TypeDir:
		if err := root.MkdirAll(header.Name, 0o755); err != nil {
			return err
		}
	case tar.TypeReg:
		file, err := root.OpenFile(header.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
	case tar.TypeSymlink:
		if err := root.Symlink(header.Linkname, header.Name); err != nil {
			return err
		}
		return root.Lchown(header.Name, header.Uid, header.Gid)
	default:
		return nil // a device or the like: the runtime makes those that a container may have
	}
	if err := root.Lchown(header.Name, header.Uid, header.Gid); err != nil {
		return err
	}
	return root.Chmod(header.Name, header.FileInfo().Mode())
}

// archiveOf returns where the build leaves an image.
func archiveOf(directory, reference string) string {
	return filepath.Join(directory, shortName(reference)+".oci.tar")
}
