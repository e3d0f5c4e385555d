package manifest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// library is shared, as it is by the overlays of a run.
var library = schema.NewLibrary()

func decode(t *testing.T, text string) (*manifest.Object, []manifest.Defect) {
	t.Helper()
	return decodeFor(t, "1.36", text)
}

func decodeFor(t *testing.T, minor, text string, definitions ...*schema.Definition) (*manifest.Object, []manifest.Defect) {
	t.Helper()
	schemas, err := library.Set(minor, definitions...)
	require.NoError(t, err)
	node, err := yaml.Parse(text)
	require.NoError(t, err)
	object, defects, err := manifest.NewDecoder(schemas).Decode(t.Context(), node)
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
			[]any{"spec", "ports", 0, "port"}, `the field "port" holds a string where the type wants int32`,
		},
		"a key with dots": {
			"apiVersion: v1\nkind: Service\nmetadata: {name: web, labels: {a.b/c: 5}}\n",
			[]any{"metadata", "labels", "a.b/c"}, `the field "a.b/c" holds the number 5 where the type wants a string`,
		},
		"a number that is too large": {
			head + "spec:\n  ports:\n    - {port: 80}\n    - {port: 4294967296}\n",
			[]any{"spec", "ports", 1, "port"}, `the field "port" holds the number 4294967296 where the type wants int32`,
		},
		"a list for a mapping": {
			head + "spec: []\n", []any{"spec"}, `the field "spec" holds a list where the type wants a mapping`,
		},
		"a text for a list": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: web, args: serve}]\n",
			[]any{"spec", "containers", 0, "args"}, `holds a string where the type wants a list`,
		},
		"an item of a list": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: web, args: [serve, true]}]\n",
			[]any{"spec", "containers", 0, "args", 1}, `the field [1] holds a bool where the type wants a string`,
		},
		"no base64": {
			"apiVersion: v1\nkind: Secret\nmetadata: {name: web}\ndata: {a: '?'}\n",
			[]any{"data", "a"}, `the field "a" holds text that is no base64`,
		},
		"a quantity": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: web, resources: {limits: {cpu: much}}}]\n",
			[]any{"spec", "containers", 0, "resources", "limits", "cpu"}, `the field "cpu" does not hold a Quantity: `,
		},
		"a removed version": {
			"apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: web}\n",
			[]any{"apiVersion"}, "Kubernetes 1.25 has removed policy/v1beta1 PodDisruptionBudget; use policy/v1 PodDisruptionBudget",
		},
		"unknown kind": {
			"apiVersion: v1\nkind: Servise\nmetadata: {name: web}\n",
			[]any{"kind"}, "no schema is known for v1 Servise in Kubernetes 1.36; did you mean Service?",
		},
		"unknown version": {
			"apiVersion: metallb.io/v1\nkind: IPAddressPool\nmetadata: {name: pool}\n",
			[]any{"apiVersion"}, "no schema is known for metallb.io/v1 IPAddressPool: v1 is no version of IPAddressPool; use metallb.io/v1beta1",
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
	schemas, err := library.Set("1.36")
	require.NoError(t, err)
	deep := "x"
	for range 600 {
		deep = "[" + deep + "]"
	}
	node, err := yaml.Parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  a: " + deep + "\n")
	require.NoError(t, err)
	_, _, err = manifest.NewDecoder(schemas).Decode(t.Context(), node)
	assert.ErrorContains(t, err, "nested deeper than 500 levels")
}

func TestEveryDefectIsFound(t *testing.T) {
	_, defects := decode(t, `
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  typo: x
  type: 7
  ports:
    - {port: eighty, targetPort: http, nodePort: [1]}
    - {port: 80, prot: TCP}
`)
	var paths [][]any
	for _, defect := range defects {
		paths = append(paths, defect.Path)
	}
	assert.Equal(t, [][]any{
		{"spec", "ports", 0, "nodePort"},
		{"spec", "ports", 0, "port"},
		{"spec", "ports", 1, "prot"},
		{"spec", "type"},
		{"spec", "typo"},
	}, paths)
}

func TestVersionsThatAreStillServed(t *testing.T) {
	_, defects := decode(t, "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\n")
	assert.Empty(t, defects)
}

func TestContainer(t *testing.T) {
	containers := []any{map[string]any{"name": "web"}, map[string]any{"name": "app"}, "broken", map[string]any{"image": "x"}}
	object := map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
		"containers": containers, "initContainers": []any{map[string]any{"name": "init"}}, "volumes": []any{map[string]any{"name": "data"}},
	}}}}
	pod := func(steps ...any) []any { return append([]any{"spec", "template", "spec"}, steps...) }
	for name, test := range map[string]struct {
		path []any
		want string
	}{
		"a field of a container": {pod("containers", 0, "ports", 0, "hostPort"), "web"},
		"a field that is absent": {pod("containers", 1, "livenessProbe"), "app"},
		"the container itself":   {pod("containers", 1), "app"},
		"an init container":      {pod("initContainers", 0, "image"), "init"},
		"all containers":         {pod("containers"), ""},
		"a volume":               {pod("volumes", 0, "hostPath"), ""},
		"no such container":      {pod("containers", 7, "image"), ""},
		"a broken one":           {pod("containers", 2, "image"), ""},
		"one without a name":     {pod("containers", 3, "image"), ""},
		"the object":             {nil, ""},
	} {
		assert.Equal(t, test.want, manifest.Container(object, test.path), name)
	}
}
