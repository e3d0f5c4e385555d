package manifest_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/field"
	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// FuzzDecode expects of whatever document that it is refused, or decoded to what JSON can hold, with
// defects whose paths can be written.
func FuzzDecode(f *testing.F) {
	const head = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
	f.Add(head + "spec: {ports: [{port: 80, port: 81, nodePort: x}], selector: [a]}\n")
	f.Add(head + "spec: {ports: [null, {port: .nan}, {port: 18446744073709551615}, {port: 0x1p-2}, {targetPort: 1.5}]}\n")
	f.Add(head + "spec: &a {selector: {<<: {a: b}}, 1: 2, ? [a] : b}\n")
	f.Add("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: 2024-01-01, creationTimestamp: yes}\nspec: {template: {spec: {containers: [{resources: {limits: {cpu: 1e400}}}]}}}\n")
	f.Add("apiVersion: v1\nkind: Secret\ndata: {a: '*', b: !!binary aGk=}\n")
	f.Add("apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: a}\nspec: {addresses: [1], autoAssign: x}\n")
	f.Add("apiVersion: a/b/c\nkind: [List]\n")
	f.Add("apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: a}\n")
	schemas, err := schema.Load()
	require.NoError(f, err)
	decoder := manifest.NewDecoder(schemas)
	f.Fuzz(func(t *testing.T, text string) {
		node, err := yaml.Parse(text)
		if err != nil || node.YNode() == nil {
			t.Skip()
		}
		object, defects, err := decoder.Decode(node)
		if err != nil {
			assert.NotContains(t, err.Error(), "goroutine ")
			return
		}
		_, err = json.Marshal(object.Value)
		require.NoError(t, err)
		for _, defect := range defects {
			assert.NotEmpty(t, defect.Text)
			_ = field.Format(defect.Path)
			manifest.Container(object.Value, defect.Path)
		}
	})
}
