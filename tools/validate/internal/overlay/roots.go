package overlay

import (
	"path/filepath"
	"slices"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/regular"
)

// roots leaves out of kustomizations the Components and those that another one uses.
func roots(dirs []string) []string {
	used := map[string]bool{}
	for _, dir := range dirs {
		mark(dir, used, map[string]bool{})
	}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		return used[real(dir)] || read(dir).Kind == types.ComponentKind
	})
}

// mark notes what a kustomization uses, directly and by what it uses; seen ends circles, which are for
// rendering to complain about.
func mark(dir string, used, seen map[string]bool) {
	if seen[real(dir)] {
		return
	}
	seen[real(dir)] = true
	kustomization := read(dir)
	for _, entry := range slices.Concat(kustomization.Resources, kustomization.Bases, kustomization.Components) {
		if next := filepath.Join(dir, entry); !filepath.IsAbs(entry) && kustomizationFile(next) != "" && !seen[real(next)] {
			used[real(next)] = true
			mark(next, used, seen)
		}
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
