package policy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

// plain returns what evaluates every policy on every object as OPA does by itself: nothing is left
// out, shared or remembered.
func plain(t *testing.T, dir string) func(objects []map[string]any) []string {
	modules, err := policy.Modules(dir, func(name string) bool { return !strings.HasSuffix(name, "_test.rego") })
	require.NoError(t, err)
	compiler := ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV1)
	compiler.Compile(modules)
	require.False(t, compiler.Failed(), "%v", compiler.Errors)
	data, err := policy.Folder{Dir: dir}.LoadFacts()
	require.NoError(t, err)
	return func(objects []map[string]any) []string {
		inventory := make([]any, len(objects))
		for i, object := range objects {
			inventory[i] = object
		}
		data["inventory"] = inventory
		query, err := rego.New(rego.Compiler(compiler), rego.Store(inmem.NewFromObject(data)), rego.Query("data.policies[category][name].deny[result]")).PrepareForEval(t.Context())
		require.NoError(t, err)
		var found []string
		for i, object := range objects {
			bindings, err := query.Eval(t.Context(), rego.EvalInput(object))
			require.NoError(t, err)
			for _, binding := range bindings {
				result := binding.Bindings["result"].(map[string]any)
				path, err := json.Marshal(result["path"])
				require.NoError(t, err)
				found = append(found, fmt.Sprintf("%d %v/%v %s %s", i, binding.Bindings["category"], binding.Bindings["name"], path, result["msg"]))
			}
		}
		slices.Sort(found)
		return found
	}
}

func evaluated(t *testing.T, set *policy.Set, objects []map[string]any) []string {
	results, err := set.Evaluate(t.Context(), objects)
	require.NoError(t, err)
	var found []string
	for _, result := range results {
		path, err := json.Marshal(result.Path)
		require.NoError(t, err)
		if len(result.Path) == 0 {
			path = []byte("[]")
		}
		found = append(found, fmt.Sprintf("%d %s %s %s", result.Object, result.Policy.Name, path, result.Text))
	}
	slices.Sort(found)
	return found
}

// TestVerdictsArePlainOPAs compares the fixtures of each policy, as they are and with what has been
// remembered of them among others.
func TestVerdictsArePlainOPAs(t *testing.T) {
	set, err := policy.Load(root)
	require.NoError(t, err)
	opa := plain(t, root)
	files, err := filepath.Glob(filepath.Join(root, "*", "*", "testdata", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	byPolicy := map[string][]map[string]any{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var object map[string]any
			require.NoError(t, yaml.Unmarshal(document, &object))
			if len(object) > 0 {
				byPolicy[filepath.Dir(file)] = append(byPolicy[filepath.Dir(file)], object)
			}
		}
	}
	for dir, objects := range byPolicy {
		wanted := opa(objects)
		require.NotEmpty(t, wanted, dir)
		assert.Equal(t, wanted, evaluated(t, set, objects), dir)
		assert.Equal(t, wanted, evaluated(t, set, objects), "%s, the second time", dir)
		fewer := objects[len(objects)/2:]
		assert.Equal(t, opa(fewer), evaluated(t, set, fewer), "%s, in a smaller inventory", dir)
	}
}

// TestShortcutsAreSafe holds rules against plain OPA that look like what may be left out or shared.
func TestShortcutsAreSafe(t *testing.T) {
	for name, rules := range map[string]string{
		"a kind":            `deny contains {"msg": "x", "path": []} if input.kind == "Service"`,
		"not a kind":        `deny contains {"msg": "x", "path": []} if not input.kind == "Service"`,
		"another kind":      `deny contains {"msg": "x", "path": []} if input.kind != "Service"`,
		"kinds":             `deny contains {"msg": "x", "path": []} if input.kind in {"Service", "Pod"}`,
		"kinds by name":     "_kinds := {\"Pod\"}\ndeny contains {\"msg\": \"x\", \"path\": []} if input.kind in _kinds",
		"kinds of facts":    `deny contains {"msg": "x", "path": []} if input.kind in data.facts.kinds`,
		"no kinds":          `deny contains {"msg": "x", "path": []} if not input.kind in {"Service"}`,
		"a function":        "f(o) if o.kind == \"Pod\"\ndeny contains {\"msg\": \"x\", \"path\": []} if f(input)",
		"of another object": "f(o) if o.kind == \"Pod\"\ndeny contains {\"msg\": \"x\", \"path\": []} if {\n\tsome o in data.inventory\n\tf(o)\n}",
		"one or the other":  "f(o) if o.kind == \"Pod\"\nf(o) if o.n > 1\ndeny contains {\"msg\": \"x\", \"path\": []} if f(input)",
		"else":              "f(o) := 1 if {\n\to.kind == \"Pod\"\n} else := 2\ndeny contains {\"msg\": sprintf(\"%d\", [f(input)]), \"path\": []}",
		"default":           "default f := 3\nf := 1 if input.kind == \"Pod\"\ndeny contains {\"msg\": sprintf(\"%d\", [f]), \"path\": []}",
		"a table":           "_table := {\"Pod\": 1}\ndeny contains {\"msg\": \"x\", \"path\": []} if _table[input.kind]",
		"a table of two":    "_table[\"Pod\"] := 1\n_table[\"Service\"] := 2\ndeny contains {\"msg\": \"x\", \"path\": []} if _table[input.kind]",
		"an empty set":      "_set contains 1 if input.kind == \"Pod\"\ndeny contains {\"msg\": \"x\", \"path\": []} if count(_set) == 0",
		"of an empty set":   "_set contains 1 if input.kind == \"Pod\"\ndeny contains {\"msg\": \"x\", \"path\": []} if some _ in _set",
		"comprehension":     "_list := [1 | input.kind == \"Pod\"]\ndeny contains {\"msg\": \"x\", \"path\": []} if _list == []",
		"every of nothing":  "_list := [1 | input.kind == \"Pod\"]\ndeny contains {\"msg\": \"x\", \"path\": []} if every e in _list { e > 1 }",
		"kind of a part":    `deny contains {"msg": "x", "path": []} if input.spec.kind == "Pod"`,
		"with":              "_is_pod if input.kind == \"Pod\"\ndeny contains {\"msg\": \"x\", \"path\": []} if _is_pod with input as {\"kind\": \"Pod\"}",
		"with a part":       "_names := {o.name | some o in data.inventory}\ndeny contains {\"msg\": \"x\", \"path\": []} if {\n\tcount(_names) > 1\n\tcount(_names) == 1 with data.inventory as [{\"name\": 1}]\n}",
		"of all":            "_kinds[o.kind] contains o.n if some o in data.inventory\ndeny contains {\"msg\": sprintf(\"%v\", [_kinds]), \"path\": []} if _kinds[input.kind][input.n]",
		"by input, of all":  "_same := [o | some o in data.inventory; o.kind == input.kind]\ndeny contains {\"msg\": sprintf(\"%d\", [count(_same)]), \"path\": []}",
		"else of a helper":  "svc if input.kind == \"Service\"\nlimit := 1 if {\n\tdata.facts.foo\n} else := 2 if {\n\tsvc\n} else := 3\ndeny contains {\"msg\": sprintf(\"%d\", [limit]), \"path\": []} if limit == 2",
		"in as a value":     "deny contains {\"msg\": \"x\", \"path\": []} if {\n\tisit := input.kind in {\"Pod\"}\n\tisit == false\n}",
		"in as an argument": `deny contains {"msg": sprintf("%v", [input.kind in {"Pod"}]), "path": []}`,
		"in an empty set":   "_set contains \"a\" if input.kind == \"Pod\"\ndeny contains {\"msg\": \"x\", \"path\": []} if {\n\tfound := \"a\" in _set\n\tnot found\n}",
		"a set of one":      "_kinds contains \"Pod\"\ndeny contains {\"msg\": \"x\", \"path\": []} if input.kind in _kinds",
		"a name of data":    "deny contains {\"msg\": \"x\", \"path\": []} if {\n\tsome name in [\"inventory\"]\n\tcount(data[name]) == input.n\n}",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text := "# METADATA\n# title: A policy\npackage policies.a.b\n\n" + rules + "\n"
			require.NoError(t, os.WriteFile(filepath.Join(dir, "b.rego"), []byte(text), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "facts.yaml"), []byte("facts: {kinds: [Pod]}\n"), 0o600))
			set, err := policy.Load(dir)
			require.NoError(t, err)
			objects := []map[string]any{
				{"kind": "Pod", "n": int64(1), "spec": map[string]any{"kind": "Service"}},
				{"kind": "Service", "n": int64(2), "spec": map[string]any{"kind": "Pod"}},
				{"kind": "ConfigMap", "n": int64(3)},
				{"n": int64(3)},
				{"kind": int64(4), "n": int64(0)},
			}
			opa := plain(t, dir)
			for size := range len(objects) + 1 { // The same objects among others: another inventory.
				some := slices.Clone(objects[:size])
				assert.Equal(t, opa(some), evaluated(t, set, some), "%d objects", size)
			}
		})
	}
}

// TestVerdictsAreNotMixedUp: an object that differs in one field from one that was seen is another.
func TestVerdictsAreNotMixedUp(t *testing.T) {
	set, err := policy.Load(root)
	require.NoError(t, err)
	object := map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "a"}, "spec": map[string]any{"type": "NodePort"}}
	other := maps.Clone(object)
	other["spec"] = map[string]any{"type": "ClusterIP"}
	first := evaluated(t, set, []map[string]any{object})
	second := evaluated(t, set, []map[string]any{other})
	assert.NotEqual(t, first, second)
	assert.Equal(t, plain(t, root)([]map[string]any{other}), second)
}
