// Package overlay finds Kustomize overlays and renders them in-process, offline, to the very bytes
// that `kubectl kustomize` writes.
package overlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
)

// Find returns the overlays below root in lexical order: every directory that holds a kustomization,
// not searching further below one that does, since what lies there is a part of it. Links are
// followed and hidden directories left out. A directory in which no kustomization is found at any
// depth is returned too, and rendering it fails: an overlay whose kustomization is missing must not
// pass unseen.
func Find(root string) ([]string, error) {
	s := search{visited: map[string]bool{}}
	found, err := s.below(root, true)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no overlay found: no directory below it holds a kustomization.yaml", root)
	}
	slices.Sort(found)
	return found, nil
}

// Dir is the name of a directory that holds nothing but overlays.
const Dir = "overlays"

// Within returns what a directory means that somebody names: itself when it holds a kustomization, else
// the overlays below it in lexical order. There, directories without a kustomization are none of them,
// unless they lie in a Dir; nor are testdata, Components, and kustomizations that one of the others uses. When
// there is none at all, dir itself is returned, and rendering it fails.
func Within(dir string) ([]string, error) {
	if Check(dir) == nil {
		return []string{dir}, nil
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return []string{dir}, nil
	}
	s := search{visited: map[string]bool{}}
	found, err := s.below(dir, filepath.Base(dir) == Dir)
	if err != nil {
		return nil, err
	}
	if found = roots(found); len(found) == 0 {
		return []string{dir}, nil
	}
	slices.Sort(found)
	return found, nil
}

type search struct {
	visited map[string]bool // the directories looked through, without links: a link may lead to one of them
}

// below returns the overlays below dir; strict says that every directory has to be or to hold one.
func (s *search) below(dir string, strict bool) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for overlays in %s: %w", dir, explainPath(err))
	}
	real, err := absolutePath(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for overlays in %s: %w", dir, explainPath(err))
	}
	s.visited[real] = true
	var found []string
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" && !strict {
			continue
		}
		// Stat, because an overlay may be a link to a directory.
		info, err := os.Stat(path)
		if err == nil && !info.IsDir() {
			continue
		}
		if err != nil && !strict {
			continue
		}
		if err != nil || kustomizationFile(path) != "" {
			found = append(found, path) // A link to nowhere is for Check to complain about.
			continue
		}
		if real, err := absolutePath(path); err == nil && s.visited[real] {
			continue
		}
		below, err := s.below(path, strict || entry.Name() == Dir)
		if err != nil {
			return nil, err
		}
		if len(below) == 0 && strict {
			below = []string{path}
		}
		found = append(found, below...)
	}
	return found, nil
}

// Check tells whether dir is an overlay, and says how it is not.
func Check(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, explainPath(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: is a file; name the directory that holds its kustomization.yaml", dir)
	}
	if kustomizationFile(dir) == "" {
		return notAnOverlay(dir)
	}
	return nil
}

func notAnOverlay(dir string) error {
	return fmt.Errorf("%s: is no overlay: it holds no kustomization.yaml", dir)
}

// kustomizationFile is the path of dir's kustomization, empty when there is none.
func kustomizationFile(dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return ""
}

// explainPath drops the system call and the path from a file error; the caller has named the path.
func explainPath(err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
