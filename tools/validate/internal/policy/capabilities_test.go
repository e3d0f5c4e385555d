package policy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/regotest"
)

// outward are the names of what reaches the network, the clock, the environment or chance, beside what
// OPA itself says is not deterministic.
var outward = regexp.MustCompile(`^(http\.|net\.lookup|opa\.runtime$|rand\.|uuid\.rfc4122$|time\.now_ns$|rego\.remote|bits\.lsh$)`)

// TestVerdictsDependOnNothingElse goes through every built-in function of OPA: those that reach out are
// unknown to policies, to their tests and to what their fixtures run.
func TestVerdictsDependOnNothingElse(t *testing.T) {
	known := policy.Capabilities()
	has := func(name string) bool {
		return slices.ContainsFunc(known.Builtins, func(b *ast.Builtin) bool { return b.Name == name })
	}
	var missing []string
	for _, builtin := range ast.CapabilitiesForThisVersion().Builtins {
		if !has(builtin.Name) {
			missing = append(missing, builtin.Name)
		}
		if outward.MatchString(builtin.Name) {
			assert.False(t, has(builtin.Name), builtin.Name)
		}
		// Of these OPA says so for the references that a schema may have, and they are refused.
		if builtin.Nondeterministic && builtin.Name != "json.match_schema" && builtin.Name != "json.verify_schema" {
			assert.False(t, has(builtin.Name), builtin.Name)
		}
	}
	for _, name := range []string{"http.send", "net.lookup_ip_addr", "opa.runtime", "rand.intn", "uuid.rfc4122", "time.now_ns"} {
		assert.Contains(t, missing, name)
	}
	assert.NotNil(t, known.AllowNet)
	assert.Empty(t, known.AllowNet)

	const rest = "\ndeny contains {\"msg\": \"no\", \"path\": []} if input.a\n"
	for _, name := range missing {
		t.Run(name, func(t *testing.T) {
			uses := "\nlooks if " + name + callOf(t, name) + "\n"
			for _, files := range []map[string]string{
				{"x.rego": head + rest + uses},
				{"x.rego": head + rest, "x_test.rego": "package policies.services.x_test" + uses + "\ntest_a if looks\n"},
				{"x.rego": "package main\n" + rest + uses, "testdata/deny-a.yaml": "a: b\n"},
			} {
				dir := t.TempDir()
				for file, text := range files {
					path := filepath.Join(dir, file)
					require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
					require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
				}
				_, err := regotest.Run(t.Context(), policy.Folder{Dir: dir}, time.Minute)
				assert.ErrorContains(t, err, "undefined function "+name)
			}
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "x.rego"), []byte(head+rest+uses), 0o600))
			_, err := policy.Load(dir)
			assert.ErrorContains(t, err, "x.rego:7: policy does not compile: undefined function "+name)
		})
	}
}

const head = "# METADATA\n# title: A policy\npackage policies.services.x\n"

// callOf is a call's arguments, as many as the function takes.
func callOf(t *testing.T, name string) string {
	t.Helper()
	all := ast.CapabilitiesForThisVersion().Builtins
	i := slices.IndexFunc(all, func(b *ast.Builtin) bool { return b.Name == name })
	require.GreaterOrEqual(t, i, 0)
	arguments := ""
	for range all[i].Decl.FuncArgs().Args {
		arguments += ", input.a"
	}
	if arguments == "" {
		return "()"
	}
	return "(" + arguments[2:] + ")"
}
