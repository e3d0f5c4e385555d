package overlay_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

const service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n"

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return root
}

// TestRemoteEntriesAreNamed holds the entries that would leave the machine to the message that says
// so; testdata/script/remote.txtar shows that none does.
func TestRemoteEntriesAreNamed(t *testing.T) {
	const url = "http://127.0.0.1:1/x"
	for name, test := range map[string]struct {
		kustomization string
		line          string
		entry         string
	}{
		"alias":                 {"commonAnnotations: {a: &u \"" + url + "\"}\nresources: [service.yaml, *u]", ":2:", url},
		"alias of a list":       {"x: &l [" + url + "]\nresources: *l", ":1:", url},
		"case":                  {"resources: [service.yaml]\nResources: [" + url + "]", ":2:", url},
		"case of a nested key":  {"resources: [service.yaml]\npatches: [{Path: " + url + "}]", ":2:", url},
		"deprecated env":        {"resources: [service.yaml]\nconfigMapGenerator: [{name: x, env: " + url + "}]", ":2:", url},
		"file that looks local": {"resources: [service.yaml]\nconfigMapGenerator: [{name: x, files: [\"a=http:/127.0.0.1:1/x\"]}]", ":2:", "http:/127.0.0.1:1/x"},
		"repository by SSH":     {"resources:\n- service.yaml\n- deploy@internal:org/repo", ":3:", "deploy@internal:org/repo"},
	} {
		t.Run(name, func(t *testing.T) {
			root := write(t, map[string]string{
				"kustomization.yaml":                          test.kustomization,
				"service.yaml":                                service,
				"http:/127.0.0.1:1/x":                         "a=b",
				"deploy@internal:org/repo/kustomization.yaml": "",
			})
			_, err := overlay.Render(t.Context(), root)
			require.Error(t, err)
			assert.Contains(t, err.Error(), "kustomization.yaml"+test.line)
			assert.Contains(t, err.Error(), `"`+test.entry+`" is remote; rendering is offline`)
		})
	}
}

func TestAliasesWithinTexts(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for i, names := 1, "abcdefgh"; i < len(names); i++ {
		bomb += string(names[i]) + ": &" + string(names[i]) + " [" + strings.Repeat("*"+string(names[i-1])+", ", 10) + "]\n"
	}
	indent := func(text string) string {
		return strings.ReplaceAll(strings.TrimSuffix("\n"+text, "\n"), "\n", "\n      ")
	}
	const head = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
	for name, test := range map[string]struct{ patch, says string }{
		"circle":             {"patch: |" + indent(head+"spec: &a {selector: *a}\n"), "leads back to its own anchor"},
		"circle on one line": {`patch: "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: &a {selector: *a}}"`, "leads back to its own anchor"},
		"bomb":               {"patch: |" + indent(head+bomb), "expand to more than 1000000 nodes"},
		"sound":              {"patch: |" + indent(head+"spec: {selector: &a {app: web}, ports: [{port: 80}]}\nmetadata: {name: web, labels: *a}\n"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := write(t, map[string]string{
				"kustomization.yaml": "resources: [service.yaml]\npatches:\n  - " + test.patch + "\n",
				"service.yaml":       service,
			})
			_, err := overlay.Render(t.Context(), root)
			if test.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.says)
			assert.Contains(t, err.Error(), "kustomization.yaml:3: ")
		})
	}
}

// TestAliasesWithinTextsWithinTexts is a patch in the configuration of a built-in transformer.
func TestAliasesWithinTextsWithinTexts(t *testing.T) {
	root := write(t, map[string]string{
		"kustomization.yaml": `resources: [service.yaml]
transformers:
  - |-
    apiVersion: builtin
    kind: PatchTransformer
    metadata: {name: x}
    patch: "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: &a {selector: *a}}"
`,
		"service.yaml": service,
	})
	_, err := overlay.Render(t.Context(), root)
	require.ErrorContains(t, err, "leads back to its own anchor")
}
