package regotest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/regotest"
)

// TestThePoliciesAreProven runs what stands beside the repository's policies.
func TestThePoliciesAreProven(t *testing.T) {
	const root = "../../../../policies"
	results, err := regotest.Run(t.Context(), policy.Folder{Dir: root}, time.Minute)
	require.NoError(t, err)
	tests := 0
	for _, result := range results {
		if result.Name != result.Where {
			tests++
		}
		t.Run(strings.TrimPrefix(result.Name, root+"/"), func(t *testing.T) {
			require.Empty(t, result.Problem, result.Where)
		})
	}
	assert.Greater(t, tests, 300, "Rego tests")
	assert.Greater(t, len(results)-tests, 150, "fixtures")
}

// files is a policy folder by the paths of its files.
type files map[string]string

func (f files) write(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range f {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	return root
}

const own = `# METADATA
# title: A policy
package policies.numbers.large

deny contains {"msg": "large", "path": ["size"]} if input.size > data.limit
`

func TestRun(t *testing.T) {
	for name, test := range map[string]struct {
		files files
		want  map[string]string // the name of each result, and what is the matter with it
	}{
		"our own": {
			files{
				"facts.yaml":                             "limit: 5",
				"numbers/large/large.rego":               own,
				"numbers/large/large_test.rego":          "package policies.numbers.large_test\n\nimport data.policies.numbers.large\n\ntest_six if count(large.deny) == 1 with input as {\"size\": 6}\n\ntest_five if count(large.deny) == 1 with input as {\"size\": 5}\n\ntodo_test_four if false\n",
				"numbers/large/testdata/allow-5.yaml":    "size: 5\n---\nsize: 4",
				"numbers/large/testdata/allow-6.yaml":    "size: 6",
				"numbers/large/testdata/deny-6.yaml":     "size: 4\n---\nsize: 6",
				"numbers/large/testdata/deny-5.yaml":     "size: 5",
				"numbers/large/testdata/empty.yaml":      "",
				"numbers/large/testdata/deny-none.yaml":  "# nothing",
				"numbers/large/testdata/deny-twice.yaml": "size: 1\nsize: 6",
				"other/testdata/deny-6.yaml":             "size: 6",
			},
			map[string]string{
				"policies.numbers.large_test.test_six":       "",
				"policies.numbers.large_test.test_five":      "fails",
				"policies.numbers.large_test.todo_test_four": "skipped",
				"numbers/large/testdata/allow-5.yaml":        "",
				"numbers/large/testdata/allow-6.yaml":        "should be allowed, is denied:\nlarge",
				"numbers/large/testdata/deny-6.yaml":         "",
				"numbers/large/testdata/deny-5.yaml":         "should be denied, is allowed",
				"numbers/large/testdata/empty.yaml":          "its name starts with allow- or deny-",
				"numbers/large/testdata/deny-none.yaml":      "holds no object",
				"numbers/large/testdata/deny-twice.yaml":     `key "size" already set in map`,
				"other/testdata/deny-6.yaml":                 "there is no policy beside it",
			},
		},
		"of another tool": {
			files{
				"main.rego":             "package main\n\ndeny contains msg if {\n\tinput.kind == \"Service\"\n\tcount(data.inventory) == 1\n\tmsg := \"a Service alone\"\n}\n",
				"main_test.rego":        "package main\n\ntest_pod if count(deny) == 0 with input as {\"kind\": \"Pod\"}\n",
				"testdata/allow-1.yaml": "kind: Pod",
				"testdata/allow-2.yaml": "kind: Service\n---\nkind: Pod",
				"testdata/deny-1.yaml":  "kind: Service",
				"testdata/deny-2.yaml":  "kind: Pod",
			},
			map[string]string{
				"main.test_pod":         "",
				"testdata/allow-1.yaml": "",
				"testdata/allow-2.yaml": "",
				"testdata/deny-1.yaml":  "",
				"testdata/deny-2.yaml":  "should be denied, is allowed",
			},
		},
		"one that fails while it runs": {
			files{
				"numbers/part/part.rego":            "# METADATA\n# title: A policy\npackage policies.numbers.part\n\ndeny contains \"no\" if 1 / input.size > 0\n",
				"numbers/part/testdata/deny-0.yaml": "size: 0",
			},
			map[string]string{"numbers/part/testdata/deny-0.yaml": "divide by zero"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := test.files.write(t)
			results, err := regotest.Run(t.Context(), policy.Folder{Dir: root}, time.Minute)
			require.NoError(t, err)
			got := map[string]string{}
			for _, result := range results {
				got[strings.TrimPrefix(result.Name, root+"/")] = result.Problem
			}
			for name, says := range test.want {
				require.Contains(t, got, name)
				if says == "" {
					assert.Empty(t, got[name], name)
				}
				assert.Contains(t, got[name], says, name)
			}
			assert.Len(t, got, len(test.want))
		})
	}
}

func TestRunRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		files files
		says  string
	}{
		"nothing":       {files{"x.rego": "package main\n\ndeny contains \"no\"\n"}, "nothing to test"},
		"broken":        {files{"x.rego": "package"}, "x.rego:1: policy does not compile"},
		"uncompilable":  {files{"x_test.rego": "package main\n\ntest_x if unknown(1)\n"}, "x_test.rego:3: policy does not compile: undefined function unknown"},
		"the network":   {files{"x_test.rego": "package main\n\ntest_x if http.send({})\n"}, "undefined function http.send"},
		"broken facts":  {files{"facts.yaml": "[", "x.rego": "package policies.a.b\n"}, "loading facts from"},
		"unusable ours": {files{"a/b/b.rego": "package policies.a.b\n\ndeny contains \"no\"\n", "a/b/testdata/deny-1.yaml": "size: 1"}, "no METADATA with a title"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := regotest.Run(t.Context(), policy.Folder{Dir: test.files.write(t)}, time.Minute)
			assert.ErrorContains(t, err, test.says)
		})
	}
	_, err := regotest.Run(t.Context(), policy.Folder{Dir: "nowhere"}, time.Minute)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// TestWhatDoesNotEndFails has a test and a policy that would take for ever.
func TestWhatDoesNotEndFails(t *testing.T) {
	const endless = " if {\n\tall := numbers.range(1, 100000)\n\tsome a in all\n\tsome b in all\n\tsome c in all\n\ta * b * c == -1\n}\n"
	root := files{
		"x.rego":               own[:strings.Index(own, " if ")] + endless,
		"x_test.rego":          "package policies.numbers.large_test\n\ntest_endless" + endless,
		"testdata/deny-a.yaml": "a: b\n",
	}.write(t)
	results, err := regotest.Run(t.Context(), policy.Folder{Dir: root}, 100*time.Millisecond)
	require.NoError(t, err)
	require.Len(t, results, 2)
	for _, result := range results {
		assert.Equal(t, "takes longer than 100ms; allow more with --timeout", result.Problem)
	}
}

// TestASchemaIsNotFetched is about the one way to a server that a built-in function has left.
func TestASchemaIsNotFetched(t *testing.T) {
	const fetches = " if {\n\tjson.match_schema({}, {\"$ref\": \"http://127.0.0.1:1/a.json\"})[0]\n}\n"
	root := files{
		"x.rego":               own[:strings.Index(own, " if ")] + fetches,
		"x_test.rego":          "package policies.numbers.large_test\n\ntest_fetch" + fetches,
		"testdata/deny-a.yaml": "a: b\n",
	}.write(t)
	results, err := regotest.Run(t.Context(), policy.Folder{Dir: root}, time.Minute)
	require.NoError(t, err)
	require.Len(t, results, 2)
	for _, result := range results {
		assert.NotEmpty(t, result.Problem)
		t.Log(result.Problem)
	}
	assert.Contains(t, results[1].Problem, "remote reference loading disabled")
}
