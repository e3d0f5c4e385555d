// Package download gets the one file that Debian does not have: a vendor's release archive.
package download

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/ft-services/ft-services/tools/images/internal/recipe"
)

// UnavailableError says that the archive is neither on this machine nor to be had from its vendor. It
// is no defect of the archive: that is another error.
type UnavailableError struct {
	File, Dir, URL string
	Cause          error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%s is not in %s and cannot be fetched from %s (%v): put the file there", e.File, e.Dir, e.URL, e.Cause)
}

func (e *UnavailableError) Unwrap() error { return e.Cause }

// Client returns an HTTP client that gives up on a silent server, but not on a large file.
func Client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: 15 * time.Second}).DialContext
	transport.ResponseHeaderTimeout = 30 * time.Second
	return &http.Client{Transport: transport}
}

// Get returns the path of the verified archive in dir; what is not there is fetched.
func Get(ctx context.Context, client *http.Client, dir string, a recipe.Archive) (string, error) {
	file := filepath.Join(dir, a.File)
	err := Verify(file, a)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return file, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder of downloads: %w", err)
	}
	partial := file + ".partial"
	defer os.Remove(partial)
	if err := fetch(ctx, client, a, partial); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", &UnavailableError{File: a.File, Dir: dir, URL: a.URL, Cause: err}
	}
	if err := Verify(partial, a); err != nil {
		return "", err
	}
	if err := os.Rename(partial, file); err != nil {
		return "", fmt.Errorf("keep the download: %w", err)
	}
	return file, nil
}

func fetch(ctx context.Context, client *http.Client, a recipe.Archive, file string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", response.Status)
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	// One byte more than expected is enough to know that it is another file.
	if _, err := io.Copy(out, io.LimitReader(response.Body, a.Size+1)); err != nil {
		return err
	}
	return out.Sync()
}

// Verify compares size and checksum. The error is os.ErrNotExist when there is no file.
func Verify(file string, a recipe.Archive) error {
	in, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read the archive: %w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return fmt.Errorf("read the archive: %w", err)
	}
	if info.Size() != a.Size {
		return fmt.Errorf("%s has %d bytes, %d are expected: remove it and try again", file, info.Size(), a.Size)
	}
	sum := sha512.New()
	if _, err := io.Copy(sum, in); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != a.SHA512 {
		return fmt.Errorf("%s has the SHA-512 %s…, %s… is expected: it is not the file that was published; remove it and try again", file, got[:16], a.SHA512[:16])
	}
	return nil
}

// Unpack unpacks a gzip-compressed tar file into dir, without each path's first element and without
// what the patterns exclude match (path.Match; a folder takes with it all that is below). Nothing can
// leave dir.
func Unpack(file, dir string, exclude []string) (err error) {
	in, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read the archive: %w", err)
	}
	defer in.Close()
	decompressed, err := gzip.NewReader(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("unpack %s: %w", file, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	r := tar.NewReader(decompressed)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		_, name, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), "/")
		left, err := matches(exclude, name)
		if err != nil {
			return fmt.Errorf("unpack %s: %w", file, err)
		}
		if name == "" || left {
			continue
		}
		if err := unpackEntry(root, name, h, r); err != nil {
			return fmt.Errorf("unpack %s from %s: %w", h.Name, file, err)
		}
	}
}

// matches reports whether a pattern matches the name or a folder above it.
func matches(patterns []string, name string) (bool, error) {
	for ; name != "." && name != ""; name = path.Dir(name) {
		for _, pattern := range patterns {
			if ok, err := path.Match(pattern, name); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

func unpackEntry(root *os.Root, name string, h *tar.Header, r io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		mode := os.FileMode(0o644)
		if h.Mode&0o100 != 0 {
			mode = 0o755
		}
		out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		return errors.Join(err, out.Close())
	default:
		return fmt.Errorf("an entry of type %q is not expected", h.Typeflag)
	}
}
