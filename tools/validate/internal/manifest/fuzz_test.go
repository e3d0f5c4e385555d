package manifest_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/field"
	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// FuzzDecode decodes whatever YAML there is: it must end soon, and with an answer. A definition among
// the input defines the kind of what is decoded next.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		widgets,
		"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: web}\nspec: {size: 9, most: 8, parts: [{name: a, limit: 3}]}\n",
		"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: eighty, nodePort: [1]}, null], type: 7}\n",
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: []\nspec: {template: {spec: {containers: {}}}}\n",
		"apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\n",
		"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: x, labels: {a: 5}}\nspec: {addresses: [5]}\n",
		"a: &a [b, *a]\n",
		"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [null, {port: .nan}, {port: 18446744073709551615}, {port: 0x1p-2}, {targetPort: 1.5}]}\n",
		"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: &a {selector: {<<: {a: b}}, 1: 2, ? [a] : b}\n",
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: 2024-01-01, creationTimestamp: yes}\nspec: {template: {spec: {containers: [{resources: {limits: {cpu: 1e400}}}]}}}\n",
		"apiVersion: v1\nkind: Secret\ndata: {a: '*', b: !!binary aGk=}\n",
		"apiVersion: a/b/c\nkind: [List]\n",
		"- 1\n",
		"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {group: a, names: {kind: B}, versions: [{name: c, served: true}, 1]}\n",
	} {
		f.Add(seed)
	}
	files, err := filepath.Glob("../../../../policies/*/*/testdata/*.yaml")
	require.NoError(f, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		for _, document := range strings.Split(string(text), "\n---\n") {
			f.Add(document)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		node, err := yaml.Parse(text)
		if err != nil || node == nil {
			t.Skip()
		}
		object, _, err := manifest.Read(node)
		if err != nil {
			require.NotContains(t, err.Error(), "goroutine ")
			return
		}
		_, err = json.Marshal(object.Value)
		require.NoError(t, err)
		var definitions []*schema.Definition
		definition, err := schema.NewDefinition(object.Value, "fuzz")
		require.NoError(t, err)
		if definition != nil {
			definitions = append(definitions, definition)
		}
		for _, minor := range schema.Minors() {
			set, err := library.Set(minor, definitions...)
			require.NoError(t, err)
			decoder := manifest.NewDecoder(set)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, defects, err := decoder.Decode(ctx, node)
			require.NoError(t, err)
			for _, defect := range defects {
				require.NotEmpty(t, defect.Text)
				_ = field.Format(defect.Path)
				manifest.Container(object.Value, defect.Path)
			}
			for _, served := range served(definition) {
				_, err := decoder.Check(ctx, manifest.New(map[string]any{
					"apiVersion": group(object) + "/" + served, "kind": kind(object), "metadata": map[string]any{"name": "x"}, "spec": object.Value,
				}))
				require.NoError(t, err)
			}
			cancel()
		}
	})
}

func served(definition *schema.Definition) []string {
	if definition == nil {
		return nil
	}
	return definition.Served()
}

func group(object *manifest.Object) string {
	text, _ := object.Value["spec"].(map[string]any)["group"].(string)
	return text
}

func kind(object *manifest.Object) string {
	text, _ := object.Value["spec"].(map[string]any)["names"].(map[string]any)["kind"].(string)
	return text
}
