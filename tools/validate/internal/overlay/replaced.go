package overlay

import (
	"context"
	"fmt"

	"sigs.k8s.io/kustomize/api/resource"
)

// RenderReplaced builds the overlay in dir with contents that stand in for files, by their absolute
// paths without links.
func RenderReplaced(ctx context.Context, dir string, contents map[string][]byte) ([]*resource.Resource, error) {
	fsys := newGuardedFS()
	fsys.replace = contents
	built, err := build(ctx, fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("rendering a part of %s: %s", dir, simplify(err))
	}
	return built.Resources(), nil
}

// ReadFile reads a file of a tree that has been rendered.
func ReadFile(path string) ([]byte, error) { return newGuardedFS().readSane(path) }

// KustomizationFile is the path of dir's kustomization, empty when there is none.
func KustomizationFile(dir string) string { return kustomizationFile(dir) }

// Absolute is a path from the root, without links.
func Absolute(path string) (string, error) { return absolutePath(path) }

// Relative shortens an absolute path to one from the working directory, when it lies below that.
func Relative(path string) string { return relative(path) }
