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
// not searching further below one that does, since what lies there is a part of it. A directory
// directly below root in which no kustomization is found is an error, because an overlay whose
// kustomization is missing must not pass unseen.
func Find(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("looking for overlays in %s: %w", root, explainPath(err))
	}
	var found []string
	var problems []error
	for _, entry := range entries {
		dir := filepath.Join(root, entry.Name())
		// Stat, because an overlay may be a link to a directory.
		if info, err := os.Stat(dir); strings.HasPrefix(entry.Name(), ".") || err == nil && !info.IsDir() {
			continue
		}
		below, err := findBelow(dir)
		switch {
		case err != nil:
			problems = append(problems, err)
		case len(below) == 0:
			problems = append(problems, notAnOverlay(dir))
		}
		found = append(found, below...)
	}
	if len(found) == 0 && len(problems) == 0 {
		problems = append(problems, fmt.Errorf("%s: no overlay found: no directory below it holds a kustomization.yaml", root))
	}
	slices.Sort(found)
	return found, errors.Join(problems...)
}

func findBelow(dir string) ([]string, error) {
	if kustomizationFile(dir) != "" {
		return []string{dir}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for overlays in %s: %w", dir, explainPath(err))
	}
	var found []string
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		below, err := findBelow(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
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
