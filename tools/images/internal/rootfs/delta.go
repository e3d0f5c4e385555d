package rootfs

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// entry is what two root filesystems are compared by: everything of a tar entry that ends up in the
// image. Times do not: the image gives every file the same.
type entry struct {
	Type         byte
	Mode         int64
	UID, GID     int
	Link         string
	Major, Minor int64
	Size         int64
	Sum          [sha256.Size]byte
	PAX          string
	seen         bool
	name         string
}

// Delta writes to out the entries of the tar file full that are not the same in the tar file base,
// with the directories above them. It is an error when base has an entry that full lacks: a layer
// on top of base could only hide it.
func Delta(base, full, out string) error {
	known := map[string]*entry{}
	if err := walk(base, func(h *tar.Header, r io.Reader) error {
		e, err := summarise(h, r)
		known[e.name] = e
		return err
	}); err != nil {
		return err
	}
	// First pass: which entries differ, and which directories stand above them.
	wanted := map[string]bool{}
	if err := walk(full, func(h *tar.Header, r io.Reader) error {
		e, err := summarise(h, r)
		if err != nil {
			return err
		}
		if same := known[e.name]; same != nil {
			same.seen = true
			equal := *same
			equal.seen = false
			if equal == *e {
				return nil
			}
		}
		wanted[e.name] = true
		for dir := path.Dir(e.name); dir != "." && dir != "/"; dir = path.Dir(dir) {
			wanted[dir] = true
		}
		// The target of a hard link must be in the same layer.
		if h.Typeflag == tar.TypeLink {
			wanted[clean(h.Linkname)] = true
		}
		return nil
	}); err != nil {
		return err
	}
	var missing []string
	for name := range maps.Keys(known) {
		if !known[name].seen {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("the base image has %d files that this image must not have: %s; exclude or purge them in the base image, or not at all",
			len(missing), strings.Join(missing[:min(5, len(missing))], ", "))
	}
	return write(full, out, wanted)
}

func write(full, out string, wanted map[string]bool) (err error) {
	f, err := os.Create(out)
	if err != nil {
		return fmt.Errorf("write the layer: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	if err := walk(full, func(h *tar.Header, r io.Reader) error {
		if !wanted[clean(h.Name)] {
			return nil
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(w, r)
		return err
	}); err != nil {
		return err
	}
	return w.Close()
}

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func summarise(h *tar.Header, r io.Reader) (*entry, error) {
	e := &entry{
		name: clean(h.Name), Type: h.Typeflag, Mode: h.Mode, UID: h.Uid, GID: h.Gid, Link: h.Linkname,
		Major: h.Devmajor, Minor: h.Devminor, Size: h.Size,
	}
	attributes := maps.Clone(h.PAXRecords)
	maps.DeleteFunc(attributes, func(key, _ string) bool { return key == "mtime" || key == "atime" || key == "ctime" })
	if len(attributes) > 0 {
		text, err := json.Marshal(attributes)
		if err != nil {
			return e, fmt.Errorf("read the attributes of %s: %w", h.Name, err)
		}
		e.PAX = string(text)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return e, fmt.Errorf("read %s: %w", h.Name, err)
	}
	copy(e.Sum[:], sum.Sum(nil))
	return e, nil
}

// walk calls visit for every entry of the tar file but its root.
func walk(file string, visit func(*tar.Header, io.Reader) error) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read the root filesystem: %w", err)
	}
	defer f.Close()
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		if clean(h.Name) == "" {
			continue
		}
		if err := visit(h, r); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
}
