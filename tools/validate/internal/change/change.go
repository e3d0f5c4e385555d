package change

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// Set is what a change touches below the root of a repository.
type Set struct {
	root  string // absolute, without links
	paths map[string]bool
	tree  *Tree
}

// NewSet takes absolute paths of files below root. Each may also be a directory that was changed in
// some way.
func NewSet(root string, paths []string) *Set {
	s := &Set{root: root, paths: map[string]bool{}, tree: NewTree()}
	for _, path := range paths {
		s.paths[path] = true
	}
	return s
}

// Affects tells whether building the overlay in dir reads something that the change touches, or that
// lies outside the repository, where nobody knows.
func (s *Set) Affects(dir string) bool {
	for path := range s.tree.Reads(dir) {
		if s.touches(path) || s.isForeign(path) {
			return true
		}
	}
	return false
}

// touches tells whether a path, or a directory above it as a whole, is part of the change.
func (s *Set) touches(path string) bool {
	for ; len(path) > len(s.root); path = filepath.Dir(path) {
		if s.paths[path] {
			return true
		}
	}
	return false
}

func (s *Set) isForeign(path string) bool {
	if s.inside(path) {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func (s *Set) inside(path string) bool {
	short, err := filepath.Rel(s.root, path)
	return err == nil && filepath.IsLocal(short)
}

// Uncovered tells whether an overlay that was found below root may be one only since the change: when
// that removed the kustomization of a directory in between, of which the overlay was a part.
func (s *Set) Uncovered(root, dir string) bool {
	for dir = filepath.Dir(dir); dir != root && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return true
		}
		for _, name := range konfig.RecognizedKustomizationFileNames() {
			if s.touches(s.tree.trail(filepath.Join(absolute, name)).end) {
				return true
			}
		}
	}
	return false
}

// Among says which of some files the change touches; it is empty when it touches none.
func (s *Set) Among(paths []string) string {
	for _, path := range paths {
		if s.touches(path) {
			return changed(path)
		}
	}
	return ""
}

// Kustomization says which kustomization the change touches; it is empty when it touches none.
func (s *Set) Kustomization() string {
	for _, path := range slices.Sorted(maps.Keys(s.paths)) {
		if slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path)) {
			return changed(path)
		}
	}
	return ""
}

// Cause says what the change touches at or below a file or directory, of that which is wanted, or that
// it lies outside the repository, where no change is known; it is empty when the change touches
// nothing there. Links are followed.
func (s *Set) Cause(path string, wanted func(path string) bool) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return changed(path)
	}
	trail := s.tree.trail(absolute)
	if _, err := os.Lstat(absolute); err == nil && !s.inside(trail.end) {
		return overlay.Relative(absolute) + " lies outside the repository, where no change is known"
	}
	for _, passed := range append(slices.Clone(trail.links), trail.end) {
		if s.touches(passed) {
			return changed(absolute)
		}
	}
	var touched []string
	for each := range s.paths {
		if strings.HasPrefix(each, trail.end+string(filepath.Separator)) && wanted(each) {
			touched = append(touched, each)
		}
	}
	if len(touched) > 0 {
		return changed(slices.Min(touched))
	}
	cause := ""
	_ = filepath.WalkDir(trail.end, func(each string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type()&fs.ModeSymlink != 0 && wanted(each) {
			if end := s.tree.trail(each).end; s.touches(end) || s.isForeign(end) {
				cause = changed(each)
				return fs.SkipAll
			}
		}
		return nil
	})
	return cause
}

func changed(path string) string { return overlay.Relative(path) + " has changed" }
