package overlay

import (
	"path/filepath"
	"slices"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/regular"
)

// roots leaves out of kustomizations the Components and those that another one uses. Those that use
// each other stay: rendering them fails, and must not be forgotten.
func roots(dirs []string) []string {
	uses := map[string]map[string]bool{}
	for _, dir := range dirs {
		uses[real(dir)] = map[string]bool{}
		mark(dir, uses[real(dir)])
	}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		if read(dir).Kind == types.ComponentKind {
			return true
		}
		for other, used := range uses {
			if used[real(dir)] && !uses[real(dir)][other] {
				return true
			}
		}
		return false
	})
}

// mark notes what a kustomization uses, directly and by what it uses.
func mark(dir string, used map[string]bool) {
	kustomization := read(dir)
	for _, entry := range slices.Concat(kustomization.Resources, kustomization.Bases, kustomization.Components) {
		next := filepath.Join(dir, entry)
		if filepath.IsAbs(entry) || kustomizationFile(next) == "" || used[real(next)] {
			continue
		}
		used[real(next)] = true
		mark(next, used)
	}
}

// parts is what a kustomization is made of.
type parts struct {
	Kind                         string
	Resources, Bases, Components []string
}

// read returns nothing for what cannot be read: rendering it says why.
func read(dir string) parts {
	var kustomization parts
	if text, err := regular.Read(kustomizationFile(dir)); err == nil {
		_ = yaml.Unmarshal(text, &kustomization)
	}
	return kustomization
}

// real is the path without links, or as it is.
func real(dir string) string {
	if path, err := absolutePath(dir); err == nil {
		return path
	}
	return dir
}
