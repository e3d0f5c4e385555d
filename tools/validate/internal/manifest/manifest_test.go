package manifest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

func decode(t *testing.T, text string) (*manifest.Object, []manifest.Defect) {
	t.Helper()
	schemas, err := schema.Load()
	require.NoError(t, err)
	node, err := yaml.Parse(text)
	require.NoError(t, err)
	object, defects, err := manifest.NewDecoder(schemas).Decode(node)
	require.NoError(t, err)
	return object, defects
}

func TestDecodeConvertsAsKubernetesReads(t *testing.T) {
	object, defects := decode(t, `
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: apps
  annotations: {when: 2024-01-01, quoted: "1"}
data: &data
  a: x
binaryData: {}
immutable: true
`)
	assert.Empty(t, defects)
	assert.Equal(t, "ConfigMap/apps/settings", object.String())
	assert.Equal(t, map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata": map[string]any{
			"name": "settings", "namespace": "apps",
			"annotations": map[string]any{"when": "2024-01-01", "quoted": "1"},
		},
		"data":       map[string]any{"a": "x"},
		"binaryData": map[string]any{},
		"immutable":  true,
	}, object.Value)
}

func TestDecodeReadsOctalModes(t *testing.T) {
	object, defects := decode(t, `
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: web}]
  volumes:
    - name: tls
      secret: {secretName: tls, defaultMode: 0440}
`)
	assert.Empty(t, defects)
	volume := object.Value["spec"].(map[string]any)["volumes"].([]any)[0].(map[string]any)
	assert.Equal(t, int64(0o440), volume["secret"].(map[string]any)["defaultMode"])
}

func TestDefects(t *testing.T) {
	const head = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
	tests := map[string]struct {
		text string
		path []any
		says string
	}{
		"unknown": {
			head + "spec:\n  ports:\n    - {port: 80, prot: TCP}\n",
			[]any{"spec", "ports", 0, "prot"}, `the type has no field "prot"`,
		},
		"wrong case": {
			head + "spec:\n  Type: NodePort\n",
			[]any{"spec", "Type"}, `the type has no field "Type"`,
		},
		"duplicate": {
			head + "spec:\n  type: ClusterIP\n  type: NodePort\n",
			[]any{"spec", "type"}, `the key "type" stands twice in the same mapping`,
		},
		"null in a list": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [null]\n",
			[]any{"spec", "containers", 0}, "an entry of a list is null",
		},
		"mistyped": {
			head + "spec:\n  ports:\n    - port: eighty\n",
			nil, "the field spec.ports.port holds a string where the type wants int32",
		},
		"unknown kind": {
			"apiVersion: v1\nkind: Servise\nmetadata: {name: web}\n",
			[]any{"kind"}, "no schema is known for v1 Servise; is apiVersion or kind mistyped?",
		},
		"unknown version": {
			"apiVersion: metallb.io/v1\nkind: IPAddressPool\nmetadata: {name: pool}\n",
			[]any{"kind"}, "no schema is known for metallb.io/v1 IPAddressPool; is apiVersion or kind mistyped?",
		},
		"unknown field of a custom kind": {
			"apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: x}\nspec: {pools: [x]}\n",
			[]any{"spec", "pools"}, "",
		},
		"mistyped field of a custom kind": {
			"apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: x}\nspec: {ipAddressPools: x}\n",
			[]any{"spec", "ipAddressPools"}, "",
		},
		"missing field of a custom kind": {
			"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: x}\nspec: {}\n",
			[]any{"spec", "addresses"}, "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, defects := decode(t, test.text)
			require.Len(t, defects, 1, "%v", defects)
			assert.Equal(t, test.path, defects[0].Path)
			assert.Contains(t, defects[0].Text, test.says)
		})
	}
}

func TestDecodeBoundsDepth(t *testing.T) {
	schemas, err := schema.Load()
	require.NoError(t, err)
	deep := "x"
	for range 600 {
		deep = "[" + deep + "]"
	}
	node, err := yaml.Parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  a: " + deep + "\n")
	require.NoError(t, err)
	_, _, err = manifest.NewDecoder(schemas).Decode(node)
	assert.ErrorContains(t, err, "nested deeper than 500 levels")
}
