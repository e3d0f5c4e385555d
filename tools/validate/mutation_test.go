package main_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ft-services/ft-services/tools/validate/internal/check"
	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
	"github.com/ft-services/ft-services/tools/validate/internal/yamltest"
)

// A mutation is one mistake that somebody could make in the real stack, and the promises it breaks.
type mutation struct {
	Policy string      `json:"policy"` // the policy that must catch it
	Also   []string    `json:"also"`   // other policies whose promise the same mistake breaks
	Name   string      `json:"name"`
	Object string      `json:"object"` // Kind/name or Kind/namespace/name of the object to change
	Patch  []operation `json:"patch"`
	Delete bool        `json:"delete"` // the object goes away
	// Create is an object that is added; no Object then.
	Create  map[string]any `json:"create"`
	Overlay string         `json:"overlay"` // only in this overlay
}

// operation is one of JSON Patch's (RFC 6902) add, remove and replace. A segment [name=x] of the path
// is the list's entry whose field `name` is x.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// TestMutations makes each mistake in the real rendered overlays and expects it to be caught by the
// policy that is named for it and by no other. With -v it prints the score.
func TestMutations(t *testing.T) {
	mutations := loadMutations(t)
	policies, err := policy.Load("../../policies")
	require.NoError(t, err)
	schemas, err := schema.NewLibrary().Set("1.34")
	require.NoError(t, err)
	decoder := manifest.NewDecoder(schemas)

	perPolicy := map[string]int{}
	for _, each := range mutations {
		perPolicy[each.Policy]++
	}
	for _, each := range policies.Policies() {
		assert.GreaterOrEqual(t, perPolicy[each.Name], 2, "%s: at least two mutations", each.Name)
	}
	assert.GreaterOrEqual(t, len(mutations), 60)

	overlays, err := overlay.Find("../../overlays")
	require.NoError(t, err)
	names := map[string]bool{"": true}
	for _, dir := range overlays {
		names[filepath.Base(dir)] = true
	}
	for _, each := range mutations {
		require.True(t, names[each.Overlay], "%s: there is no overlay %s", each.Name, each.Overlay)
	}
	var score scoreboard
	t.Cleanup(func() { score.print(t) })
	for _, dir := range overlays {
		objects := renderObjects(t, dir, decoder)
		require.Empty(t, breaches(t, policies, decoder, objects, nil), "%s: must be clean before it is mutated", dir)
		for _, each := range mutations {
			if each.Overlay != "" && each.Overlay != filepath.Base(dir) {
				continue
			}
			t.Run(filepath.Base(dir)+"/"+each.Policy+"/"+each.Name, func(t *testing.T) {
				t.Parallel()
				mutated, changed := each.apply(t, objects)
				got := breaches(t, policies, decoder, mutated, changed)
				want := append([]string{each.Policy}, each.Also...)
				slices.Sort(want)
				score.add(t.Name(), slices.Contains(got, each.Policy))
				assert.Equal(t, want, got, "the policies that catch it")
			})
		}
	}
}

type scoreboard struct {
	mutex     sync.Mutex
	total     int
	survivors []string
}

func (s *scoreboard) add(name string, caught bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.total++
	if !caught {
		s.survivors = append(s.survivors, name)
	}
}

func (s *scoreboard) print(t *testing.T) {
	t.Logf("mutation score: %d of %d caught", s.total-len(s.survivors), s.total)
	for _, name := range s.survivors {
		t.Logf("survivor: %s", name)
	}
}

func loadMutations(t *testing.T) []mutation {
	t.Helper()
	files, err := filepath.Glob("testdata/mutations/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all []mutation
	for _, file := range files {
		var some []mutation
		yamltest.Decode(t, file, &some)
		all = append(all, some...)
	}
	return all
}

func renderObjects(t *testing.T, dir string, decoder *manifest.Decoder) []map[string]any {
	t.Helper()
	rendered, err := overlay.Render(t.Context(), dir)
	require.NoError(t, err)
	var objects []map[string]any
	for _, resource := range rendered.Resources() {
		object, defects, err := decoder.Decode(t.Context(), &resource.RNode)
		require.NoError(t, err)
		require.Empty(t, defects, "%s", object)
		objects = append(objects, object.Value)
	}
	return objects
}

// breaches returns the names of the policies that find something, each once; the changed object is
// checked against its type too.
func breaches(t *testing.T, policies *policy.Set, decoder *manifest.Decoder, objects []map[string]any, changed map[string]any) []string {
	t.Helper()
	results, err := policies.Evaluate(context.Background(), objects)
	require.NoError(t, err)
	names := []string{}
	for _, result := range results {
		names = append(names, result.Policy.Name)
	}
	if changed != nil {
		defects, err := decoder.Check(t.Context(), manifest.New(changed))
		require.NoError(t, err)
		if len(defects) > 0 {
			names = append(names, check.SchemaPolicy)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// apply returns the objects with the mistake made, and the changed object if there still is one.
func (m mutation) apply(t *testing.T, objects []map[string]any) (mutated []map[string]any, changed map[string]any) {
	t.Helper()
	if m.Create != nil {
		created := runtime.DeepCopyJSON(normalize(m.Create).(map[string]any))
		return append(slices.Clone(objects), created), created
	}
	index := m.find(t, objects)
	mutated = slices.Clone(objects)
	if m.Delete {
		return slices.Delete(mutated, index, index+1), nil
	}
	require.NotEmpty(t, m.Patch, "a mutation changes something")
	var value any = runtime.DeepCopyJSON(objects[index])
	for _, step := range m.Patch {
		segments := strings.Split(strings.TrimPrefix(step.Path, "/"), "/")
		var err error
		value, err = step.apply(value, segments)
		require.NoError(t, err, "%s %s", step.Op, step.Path)
	}
	changed = value.(map[string]any)
	require.NotEqual(t, objects[index], changed, "a mutation changes something")
	mutated[index] = changed
	return mutated, changed
}

func (m mutation) find(t *testing.T, objects []map[string]any) int {
	t.Helper()
	var found []int
	for i, fields := range objects {
		object := manifest.New(fields)
		name := object.Name
		// The hash of a generated ConfigMap changes with its content.
		if hash := strings.LastIndex(name, "-"); object.Kind == "ConfigMap" && hash >= 0 {
			name = name[:hash]
		}
		short, full := object.Kind+"/"+name, object.Kind+"/"+object.Namespace+"/"+name
		if m.Object == short || m.Object == full || m.Object == object.String() {
			found = append(found, i)
		}
	}
	require.Len(t, found, 1, "objects called %s", m.Object)
	return found[0]
}

// apply carries the operation out on value, which lies above segments, and returns what takes
// value's place.
func (o operation) apply(value any, segments []string) (any, error) {
	if !slices.Contains([]string{"add", "remove", "replace"}, o.Op) {
		return nil, fmt.Errorf("unknown operation %q", o.Op)
	}
	segment := strings.NewReplacer("~1", "/", "~0", "~").Replace(segments[0])
	last := len(segments) == 1
	switch parent := value.(type) {
	case map[string]any:
		child, exists := parent[segment]
		switch {
		case !last && !exists:
			return nil, fmt.Errorf("%q does not exist", segment)
		case !last:
			child, err := o.apply(child, segments[1:])
			parent[segment] = child
			return parent, err
		case o.Op != "add" && !exists:
			return nil, fmt.Errorf("%q does not exist", segment)
		case o.Op == "remove":
			delete(parent, segment)
		default:
			parent[segment] = normalize(o.Value)
		}
		return parent, nil
	case []any:
		if segment == "-" && last && o.Op == "add" {
			return append(parent, normalize(o.Value)), nil
		}
		index, err := position(parent, segment)
		switch {
		case err != nil:
			return nil, err
		case !last:
			parent[index], err = o.apply(parent[index], segments[1:])
			return parent, err
		case o.Op == "remove":
			return slices.Delete(parent, index, index+1), nil
		case o.Op == "add":
			return slices.Insert(parent, index, normalize(o.Value)), nil
		}
		parent[index] = normalize(o.Value)
		return parent, nil
	}
	return nil, fmt.Errorf("%q: its parent is neither a mapping nor a list", segment)
}

func position(list []any, segment string) (int, error) {
	if field, wanted, ok := strings.Cut(strings.Trim(segment, "[]"), "="); ok {
		index := slices.IndexFunc(list, func(entry any) bool {
			fields, ok := entry.(map[string]any)
			return ok && fmt.Sprint(fields[field]) == wanted
		})
		if index < 0 {
			return 0, fmt.Errorf("no entry has %s %q", field, wanted)
		}
		return index, nil
	}
	index, err := strconv.Atoi(segment)
	if err != nil || index < 0 || index >= len(list) {
		return 0, fmt.Errorf("%q is no index of a list of %d", segment, len(list))
	}
	return index, nil
}

// normalize gives whole numbers the type that decoded manifests have.
func normalize(value any) any {
	switch value := value.(type) {
	case map[string]any:
		fields := make(map[string]any, len(value))
		for key, child := range value {
			fields[key] = normalize(child)
		}
		return fields
	case []any:
		items := make([]any, len(value))
		for i, child := range value {
			items[i] = normalize(child)
		}
		return items
	case float64:
		if value == float64(int64(value)) {
			return int64(value)
		}
	}
	return value
}

// TestOperations keeps the table's own tools honest.
func TestOperations(t *testing.T) {
	for name, test := range map[string]struct {
		step operation
		want any
		says string
	}{
		"add a key":         {operation{"add", "/b", 1.0}, map[string]any{"a": []any{"x", "y"}, "b": int64(1)}, ""},
		"add an entry":      {operation{"add", "/a/-", "z"}, map[string]any{"a": []any{"x", "y", "z"}}, ""},
		"insert an entry":   {operation{"add", "/a/0", "z"}, map[string]any{"a": []any{"z", "x", "y"}}, ""},
		"remove an entry":   {operation{"remove", "/a/0", nil}, map[string]any{"a": []any{"y"}}, ""},
		"replace an entry":  {operation{"replace", "/a/1", "z"}, map[string]any{"a": []any{"x", "z"}}, ""},
		"replace nothing":   {operation{"replace", "/b", "z"}, nil, "does not exist"},
		"remove nothing":    {operation{"remove", "/b", nil}, nil, "does not exist"},
		"no such entry":     {operation{"replace", "/a/2", "z"}, nil, "is no index"},
		"unknown operation": {operation{"repalce", "/a/1", "z"}, nil, `unknown operation "repalce"`},
	} {
		t.Run(name, func(t *testing.T) {
			segments := strings.Split(strings.TrimPrefix(test.step.Path, "/"), "/")
			got, err := test.step.apply(map[string]any{"a": []any{"x", "y"}}, segments)
			if test.says != "" {
				require.ErrorContains(t, err, test.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestFindsConfigMapsWithAndWithoutAHash(t *testing.T) {
	configMap := func(name string) map[string]any {
		return map[string]any{"kind": "ConfigMap", "metadata": map[string]any{"name": name}}
	}
	objects := []map[string]any{configMap("plain"), configMap("pages-abc123")}
	require.Equal(t, 0, mutation{Object: "ConfigMap/plain"}.find(t, objects))
	require.Equal(t, 1, mutation{Object: "ConfigMap/pages"}.find(t, objects))
}
