// Package lock keeps the list of what the images held when they were last looked at: every package with
// its version, in git.
package lock

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"
)

const header = `# What each image holds besides the base image's packages. Written by ` + "`make lock`" + `; a build that
# differs says so. epoch, in seconds since 1970, is the time that every file of an image bears.
`

// File is the lock file's content.
type File struct {
	Epoch  int64            `json:"epoch"`
	Images map[string]Image `json:"images"`
}

// Image is what an image holds: versions by package name, and by Go module path for programs.
type Image struct {
	Tag      string            `json:"tag,omitempty"`
	Packages map[string]string `json:"packages,omitempty"`
	Programs map[string]string `json:"programs,omitempty"`
}

// Load reads the lock file. Without one the error is os.ErrNotExist.
func Load(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the lock file: %w", err)
	}
	f := &File{}
	if err := yaml.UnmarshalStrict(text, f); err != nil {
		return nil, fmt.Errorf("read %s: %w (`make lock` writes it anew)", path, err)
	}
	if f.Epoch <= 0 {
		return nil, fmt.Errorf("read %s: epoch is missing (`make lock` writes it anew)", path)
	}
	return f, nil
}

// Save writes the lock file in one step.
func (f *File) Save(path string) (err error) {
	text, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("write the lock file: %w", err)
	}
	partial, err := os.CreateTemp(filepath.Dir(path), ".lock-")
	if err != nil {
		return fmt.Errorf("write the lock file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(partial.Name()))
		}
	}()
	_, err = partial.WriteString(header + string(text))
	if err := errors.Join(err, partial.Chmod(0o644), partial.Close()); err != nil {
		return fmt.Errorf("write the lock file: %w", err)
	}
	return os.Rename(partial.Name(), path)
}

// Differences says, in one sentence each, how an image differs from what the lock file says of it.
func (f *File) Differences(name string, built Image) []string {
	locked, ok := f.Images[name]
	if !ok {
		return []string{"it is not in the lock file"}
	}
	var out []string
	if locked.Tag != built.Tag {
		out = append(out, fmt.Sprintf("its tag is %s, locked is %s", built.Tag, locked.Tag))
	}
	out = append(out, compare("package", locked.Packages, built.Packages)...)
	return append(out, compare("program", locked.Programs, built.Programs)...)
}

func compare(what string, locked, built map[string]string) []string {
	names := maps.Clone(locked)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, built)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, wasThere := locked[name]
		is, isThere := built[name]
		switch {
		case !isThere:
			out = append(out, fmt.Sprintf("%s %s %s is locked, but missing", what, name, was))
		case !wasThere:
			out = append(out, fmt.Sprintf("%s %s %s is not in the lock file", what, name, is))
		case was != is:
			out = append(out, fmt.Sprintf("%s %s is %s, locked is %s", what, name, is, was))
		}
	}
	return out
}
