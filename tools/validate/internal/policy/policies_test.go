package policy_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/policies"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

const root = "../../../../policies"

func all(string) bool { return true }

// TestStyle keeps the Rego as `opa fmt` writes it and free of what `opa check --strict` finds.
func TestStyle(t *testing.T) {
	modules, err := policy.Modules(root, all)
	require.NoError(t, err)
	for _, file := range slices.Sorted(maps.Keys(modules)) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		formatted, err := format.SourceWithOpts(file, text, format.Opts{RegoVersion: ast.RegoV1})
		require.NoError(t, err)
		assert.Equal(t, string(formatted), string(text), "%s: run `opa fmt -w`", file)
	}
	compiler := ast.NewCompiler().WithCapabilities(policy.Capabilities()).WithDefaultRegoVersion(ast.RegoV1).WithStrict(true)
	compiler.Compile(modules)
	require.False(t, compiler.Failed(), "%v", compiler.Errors)
}

// TestEveryPolicyIsComplete holds each policy to what its readers rely on: metadata, a mend, tests
// and a sample of each verdict.
func TestEveryPolicyIsComplete(t *testing.T) {
	set, err := policy.Load(root)
	require.NoError(t, err)
	for _, each := range set.Policies() {
		t.Run(each.Name, func(t *testing.T) {
			dir := filepath.Join(root, filepath.FromSlash(each.Name))
			assert.Equal(t, filepath.Join(dir, filepath.Base(dir)+".rego"), each.File, "folder, file and package have one name")
			assert.NotEmpty(t, each.Title)
			assert.NotEmpty(t, each.Description)
			assert.NotEmpty(t, each.Requirements, "custom.requirements")
			assert.NotEmpty(t, each.RelatedResources, "related_resources")
			assert.True(t, strings.HasSuffix(each.Remediation, "."), "custom.remediation is a sentence: %q", each.Remediation)
			assert.FileExists(t, filepath.Join(dir, filepath.Base(dir)+"_test.rego"))
			for _, verdict := range []string{"allow", "deny"} {
				samples, err := filepath.Glob(filepath.Join(dir, "testdata", verdict+"-*.yaml"))
				require.NoError(t, err)
				assert.NotEmpty(t, samples, "testdata/%s-*.yaml", verdict)
			}
		})
	}
}

// TestVerdictsDependOnTheObjectsAlone holds the capabilities to what OPA says of its functions.
func TestVerdictsDependOnTheObjectsAlone(t *testing.T) {
	allowed := map[string]bool{}
	for _, builtin := range policy.Capabilities().Builtins {
		allowed[builtin.Name] = true
	}
	for _, name := range []string{"http.send", "net.lookup_ip_addr", "opa.runtime", "rand.intn", "time.now_ns", "uuid.rfc4122", "io.jwt.decode_verify", "io.jwt.encode_sign"} {
		assert.False(t, allowed[name], name)
	}
	for _, name := range []string{"json.match_schema", "json.verify_schema", "time.parse_ns", "net.cidr_contains"} {
		assert.True(t, allowed[name], name)
	}
}

func TestFailuresAreByObject(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.rego"), []byte(`# METADATA
# title: A policy
package policies.services.x

deny contains {"msg": "large", "path": ["n"]} if 10 / input.n < 5
`), 0o600))
	set, err := policy.Load(dir)
	require.NoError(t, err)
	objects := []map[string]any{{"n": int64(5)}, {"n": int64(0)}, {"n": int64(1)}, {"n": int64(0)}}
	results, err := set.Evaluate(t.Context(), objects)
	var failures policy.Failures
	require.ErrorAs(t, err, &failures)
	assert.Equal(t, []int{1, 3}, slices.Sorted(maps.Keys(failures)))
	assert.ErrorContains(t, failures, "x.rego:5: policy does not evaluate: div: divide by zero")
	require.Len(t, results, 1)
	assert.Equal(t, 0, results[0].Object)
}

// TestSelect leaves a policy out so that it cannot even fail.
func TestSelect(t *testing.T) {
	dir := t.TempDir()
	for name, rule := range map[string]string{
		"large": `deny contains {"msg": "large", "path": []} if input.n > 5`,
		"fails": `deny contains {"msg": "fails", "path": []} if 10 / input.n < 5`,
	} {
		text := "# METADATA\n# title: A policy\npackage policies.numbers." + name + "\n\n" + rule + "\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".rego"), []byte(text), 0o600))
	}
	set, err := policy.Load(dir)
	require.NoError(t, err)
	objects := []map[string]any{{"n": int64(0)}, {"n": int64(6)}}
	for name, test := range map[string]struct {
		accept func(string) bool
		want   []string
		fails  bool
	}{
		"all":  {all, []string{"numbers/fails", "numbers/large"}, true},
		"one":  {func(name string) bool { return name == "numbers/large" }, []string{"numbers/large"}, false},
		"none": {func(string) bool { return false }, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			selected := set.Select(test.accept)
			results, err := selected.Evaluate(t.Context(), objects)
			assert.Equal(t, test.fails, err != nil, "%v", err)
			var got []string
			for _, result := range results {
				assert.Equal(t, 1, result.Object)
				got = append(got, result.Policy.Name)
			}
			assert.Equal(t, test.want, got)
			assert.Len(t, selected.Policies(), len(test.want))
		})
	}
	assert.Len(t, set.Policies(), 2, "the whole set stays what it is")
}

// TestTheProjectGivesEveryFact keeps a policy from falling silent because a fact was renamed or lost.
func TestTheProjectGivesEveryFact(t *testing.T) {
	set, err := policy.Load(root)
	require.NoError(t, err)
	assert.Empty(t, set.Idle())
	facts := set.Facts()["facts"].(map[string]any)
	for _, each := range set.Policies() {
		for _, fact := range each.Facts {
			assert.Contains(t, facts, fact, each.Name)
		}
	}
}

// TestEmbedded takes what the program carries to a project of which nothing is known, or one fact
// alone: every policy evaluates, or is not evaluated for want of its fact.
func TestEmbedded(t *testing.T) {
	own, err := policy.Load(root)
	require.NoError(t, err)
	all := own.Facts()["facts"].(map[string]any)
	known := map[string]map[string]any{"nothing": {}, "everything": all}
	for name := range all {
		known[name+" alone"] = map[string]any{name: all[name]}
	}
	objects := rendered(t)
	for name, facts := range known {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "facts.yaml")
			text, err := yaml.Marshal(map[string]any{"facts": facts})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, text, 0o600))
			set, err := policy.Folder{Dir: "embedded", FS: policies.Files, Facts: file}.Load()
			require.NoError(t, err)
			for _, each := range own.Policies() {
				lacks := slices.ContainsFunc(each.Facts, func(fact string) bool { return facts[fact] == nil })
				assert.Equal(t, lacks && !each.Specific, slices.ContainsFunc(set.Idle(), func(p *policy.Policy) bool { return p.Name == each.Name }), "%s is idle", each.Name)
				assert.Equal(t, !lacks && !each.Specific, set.Policy(each.Name) != nil, "%s is evaluated", each.Name)
			}
			_, err = set.Evaluate(t.Context(), objects)
			require.NoError(t, err)
		})
	}
}

// rendered returns the objects of an overlay of this project.
func rendered(t *testing.T) []map[string]any {
	t.Helper()
	text, err := os.ReadFile("../../testdata/golden/minikube.yaml")
	require.NoError(t, err)
	var objects []map[string]any
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var object map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(document), &object))
		objects = append(objects, object)
	}
	require.NotEmpty(t, objects)
	return objects
}
