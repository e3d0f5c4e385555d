package overlay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"

	"github.com/ft-services/ft-services/tools/validate/internal/bound"
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
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("rendering %s: %w", dir, context.Cause(ctx))
	case fsys.schema.Load() && !fsys.alone:
		return nil, fmt.Errorf("rendering %s: %w", dir, ErrAlone)
	case err != nil:
		return nil, fmt.Errorf("rendering %s: %w", dir, diagnose(ctx, dir, err))
	}
	return &Rendered{Dir: dir, resources: resources, read: fsys.read}, nil
}

// ErrAlone is why an overlay was not rendered that brings an OpenAPI schema of its own: Kustomize has one
// for the whole process, and other builds would be merged by it. Render it again with Alone.
var ErrAlone = errors.New("brings an OpenAPI schema of its own, and is rendered when no other overlay is")

type aloneKey struct{}

// Alone says that nothing else is rendered while this context is used.
func Alone(ctx context.Context) context.Context { return context.WithValue(ctx, aloneKey{}, true) }

// build ends with the context, although a build that has begun goes on to its own end unseen.
func build(ctx context.Context, fsys *guardedFS, dir string) (resmap.ResMap, error) {
	fsys.alone = ctx.Value(aloneKey{}) != nil
	return bound.Call(ctx, func() (resmap.ResMap, error) {
		if fsys.alone {
			before := openapi.GetSchemaVersion()
			defer func() {
				if openapi.GetSchemaVersion() != before {
					openapi.ResetOpenAPI()
				}
				openapi.Schema()
			}()
		}
		return buildToEnd(fsys, dir)
	})
}

func buildToEnd(fsys filesys.FileSystem, dir string) (resources resmap.ResMap, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("Kustomize crashes on it: something in it is not what it should be")
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

// unprintable is how the library quotes a value that it cannot write.
var unprintable = regexp.MustCompile(`map\[string\]interface \{\}\([^)]*\): yaml: |: \[\]interface.*|: map\[.*`)

// YAML returns what `kubectl kustomize` prints.
func (r *Rendered) YAML() ([]byte, error) {
	text, err := r.resources.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("writing %s as YAML: %s", r.Dir, unprintable.ReplaceAllString(oneLine(err.Error()), ""))
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
