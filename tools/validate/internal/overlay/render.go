package overlay

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// Rendered is an overlay after its build.
type Rendered struct {
	// Dir is the overlay's directory, as the caller named it.
	Dir string

	resources resmap.ResMap
	read      map[string]bool
}

// Warm initialises Kustomize's OpenAPI data, which is a data race when it first happens in several
// goroutines. Call it before rendering concurrently; calling it again costs nothing.
var Warm = sync.OnceFunc(func() { openapi.Schema() })

// Render builds the overlay in dir as `kubectl kustomize` does. No plugin is run, and no file outside
// the roots that Kustomize allows is read; that nothing is fetched takes offline.Enter besides. An
// error names the file at fault where Kustomize says it.
func Render(ctx context.Context, dir string) (*Rendered, error) {
	if err := Check(dir); err != nil {
		return nil, err
	}
	fsys := newGuardedFS()
	resources, err := build(ctx, fsys, dir)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("rendering %s: %w", dir, context.Cause(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", dir, diagnose(ctx, dir, err))
	}
	return &Rendered{Dir: dir, resources: resources, read: fsys.read}, nil
}

// build ends with the context, although a build that has begun goes on to its own end unseen.
func build(ctx context.Context, fsys filesys.FileSystem, dir string) (resmap.ResMap, error) {
	type outcome struct {
		resources resmap.ResMap
		err       error
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	built := make(chan outcome, 1)
	go func() {
		resources, err := buildToEnd(fsys, dir)
		built <- outcome{resources, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case done := <-built:
		return done.resources, done.err
	}
}

func buildToEnd(fsys filesys.FileSystem, dir string) (resources resmap.ResMap, err error) {
	// Kustomize panics on some broken input; one overlay must not take the others with it.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize gave up on it: %v", r)
		}
	}()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	options.PluginConfig = types.DisabledPluginConfig()
	return krusty.MakeKustomizer(options).Run(fsys, dir)
}

// Resources returns the objects in the order in which Kustomize writes them.
func (r *Rendered) Resources() []*resource.Resource { return r.resources.Resources() }

// Read returns the absolute paths that the build asked for, whether there was a file or not.
func (r *Rendered) Read() []string { return slices.Sorted(maps.Keys(r.read)) }

// YAML returns what `kubectl kustomize` prints.
func (r *Rendered) YAML() ([]byte, error) {
	text, err := r.resources.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("writing %s as YAML: %w", r.Dir, err)
	}
	return text, nil
}

// relative shortens an absolute path to one from the working directory, when it lies below that.
func relative(path string) string {
	here, err := filepath.Abs(".")
	if err != nil {
		return path
	}
	if here, err = filepath.EvalSymlinks(here); err != nil {
		return path
	}
	short, err := filepath.Rel(here, path)
	if err != nil || !filepath.IsLocal(short) {
		return path
	}
	return short
}
