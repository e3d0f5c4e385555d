package policy_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

// FuzzPolicies expects of whatever stands in a policy and in the facts that it is loaded and
// evaluated, or that the error names the folder, in time.
func FuzzPolicies(f *testing.F) {
	const head = "# METADATA\n# title: A policy\npackage policies.services.x\n\n"
	f.Add(head+"deny contains result if {\n\tinput.kind == \"Service\"\n\tresult := {\"msg\": \"no\", \"path\": [\"kind\", 0]}\n}\n", "ports: {web: 80}\n")
	f.Add(head+"deny contains {\"msg\": \"no\", \"path\": []} if data.a.b\n", "a: &a {b: *a}\n")
	f.Add(head+"deny contains {\"msg\": \"no\", \"path\": [1.5]} if 1 / count([]) > 0\n", "policies: {}\n")
	f.Add(head+"deny contains x if deny[x]\n", "")
	f.Add("# METADATA\n# title: [\n# custom: {severity: 1}\npackage policies.services.x\n\ndeny := 1\n", "[]\n")
	f.Add("package policies[\"a b\"].x\n", "a: 1\na: 2\n")
	f.Add("package policies.services.x\nimport rego.v1\nimport data.inventory\ndeny contains object.get(o, \"a\", 1) if some o in inventory\n", "\xff\n")
	f.Fuzz(func(t *testing.T, rego, facts string) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "x.rego"), []byte(rego), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, policy.FactsFile), []byte(facts), 0o600))
		set, err := policy.Load(dir)
		if err != nil {
			assert.Contains(t, err.Error(), dir)
			assert.NotContains(t, err.Error(), "goroutine ")
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err = set.Evaluate(ctx, []map[string]any{{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "web"}}})
		require.NoError(t, ctx.Err(), "in time")
		if err != nil {
			assert.NotContains(t, err.Error(), "goroutine ")
		}
	})
}
