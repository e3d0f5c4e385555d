package manifest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

const widgets = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
    - {name: v1beta1, served: false, storage: false, schema: {openAPIV3Schema: {type: object}}}
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          required: [spec]
          properties:
            status: {type: object, required: [phase], properties: {phase: {type: string}}}
            spec:
              type: object
              required: [size]
              x-kubernetes-validations:
                - {rule: self.size <= self.most, message: the size is more than the most}
              properties:
                size: {type: integer, minimum: 1}
                most: {type: integer, default: 5}
                colour: {type: string, enum: [red, green]}
                port: {x-kubernetes-int-or-string: true}
                free: {type: object, x-kubernetes-preserve-unknown-fields: true}
                labels: {type: object, additionalProperties: {type: string}}
                parts:
                  type: array
                  maxItems: 10
                  x-kubernetes-list-type: map
                  x-kubernetes-list-map-keys: [name]
                  items:
                    type: object
                    required: [name]
                    properties:
                      name: {type: string, maxLength: 10}
                      when: {type: string, format: date-time}
                      limit:
                        type: integer
                        x-kubernetes-validations:
                          - {rule: 'self % 2 == 0', messageExpression: "self > 2 ? 'odd, and more than 2' : 'odd'"}
                template:
                  type: object
                  x-kubernetes-embedded-resource: true
                  x-kubernetes-preserve-unknown-fields: true
`

func define(t testing.TB, text string) *schema.Definition {
	t.Helper()
	node, err := yaml.Parse(text)
	require.NoError(t, err)
	object, defects, err := manifest.Read(node)
	require.NoError(t, err)
	require.Empty(t, defects)
	definition, err := schema.NewDefinition(object.Value, "widgets.yaml")
	require.NoError(t, err)
	require.NotNil(t, definition)
	return definition
}

func TestCustomKinds(t *testing.T) {
	widget := func(spec string) string {
		return "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: web}\nspec: {" + spec + "}\n"
	}
	for name, test := range map[string]struct {
		text string
		want []expected
	}{
		"sound": {widget(`size: 2, colour: red, port: http, free: {a: [1]}, labels: {a.b/c: d}, parts: [{name: a, limit: 2}, {name: b}],
  template: {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}}`), nil},
		"unknown": {widget("size: 2, color: red"),
			[]expected{{[]any{"spec", "color"}, `the type has no field "color" in its CustomResourceDefinition; did you mean "colour"?`}}},
		"unknown, in a list":             {widget("size: 2, parts: [{name: a}, {name: b, nam.e: c}]"), []expected{{[]any{"spec", "parts", 1, "nam.e"}, `no field "nam.e"`}}},
		"unknown in the metadata":        {strings.Replace(widget("size: 2"), "name: web", "name: web, labls: {}", 1), []expected{{[]any{"metadata", "labls"}, `did you mean "labels"?`}}},
		"unknown in embedded metadata":   {widget("size: 2, template: {apiVersion: v1, kind: Pod, metadata: {name: a, nmae: b}}"), []expected{{[]any{"spec", "template", "metadata", "nmae"}, "no field"}}},
		"no kind in an embedded one":     {widget("size: 2, template: {apiVersion: v1}"), []expected{{[]any{"spec", "template", "kind"}, "is missing"}}},
		"mistyped in the metadata":       {strings.Replace(widget("size: 2"), "name: web", "name: web, labels: {a: 1}", 1), []expected{{[]any{"metadata", "labels", "a"}, "the number 1"}}},
		"missing":                        {widget("colour: red"), []expected{{[]any{"spec", "size"}, `the field "size" is missing, which the CustomResourceDefinition requires`}}},
		"missing in the status":          {widget("size: 2") + "status: {}\n", nil},
		"mistyped":                       {widget("size: big"), []expected{{[]any{"spec", "size"}, `must be of type integer: "string"`}}},
		"mistyped, in a mapping":         {widget("size: 2, labels: {a.b/c: 5}"), []expected{{[]any{"spec", "labels", "a.b/c"}, `must be of type string`}}},
		"out of an enumeration":          {widget("size: 2, colour: blue"), []expected{{[]any{"spec", "colour"}, `the field "colour" holds "blue"; supported values: "red", "green"`}}},
		"out of bounds":                  {widget("size: 0"), []expected{{[]any{"spec", "size"}, `should be greater than or equal to 1`}}},
		"too long":                       {widget("size: 2, parts: [{name: abcdefghijklm}]"), []expected{{[]any{"spec", "parts", 0, "name"}, `may not be more than 10`}}},
		"no time":                        {widget("size: 2, parts: [{name: a, when: now}]"), []expected{{[]any{"spec", "parts", 0, "when"}, `must be of type date-time`}}},
		"two of a list's keys":           {widget("size: 2, parts: [{name: a}, {name: a}]"), []expected{{[]any{"spec", "parts", 1}, `another item with {"name":"a"}`}}},
		"a broken rule":                  {widget("size: 9, most: 8"), []expected{{[]any{"spec"}, "a rule of the CustomResourceDefinition is broken: the size is more than the most"}}},
		"a broken rule, by default":      {widget("size: 6"), []expected{{[]any{"spec"}, "the size is more than the most"}}},
		"a broken rule in a list":        {widget("size: 2, parts: [{name: a, limit: 2}, {name: b, limit: 3}]"), []expected{{[]any{"spec", "parts", 1, "limit"}, "odd, and more than 2"}}},
		"rules wait for the right types": {widget("size: 9, colour: blue"), []expected{{[]any{"spec", "colour"}, "supported values"}}},
		"every defect": {widget("size: 0, color: red, parts: [{}]"),
			[]expected{{[]any{"spec", "parts", 0, "name"}, "missing"}, {[]any{"spec", "size"}, "greater"}, {[]any{"spec", "color"}, "no field"}}},
		"a version that is not served": {strings.Replace(widget("size: 2"), "/v1", "/v1beta1", 1),
			[]expected{{[]any{"apiVersion"}, "v1beta1 is no version of Widget; use example.com/v1"}}},
		"a kind that is like it": {strings.Replace(widget("size: 2"), "Widget", "Widgit", 1), []expected{{[]any{"kind"}, "did you mean Widget?"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, defects := decodeFor(t, "1.36", test.text, define(t, widgets))
			require.Len(t, defects, len(test.want), "%v", defects)
			for i, want := range test.want {
				assert.Equal(t, want.path, defects[i].Path)
				assert.Contains(t, defects[i].Text, want.says)
			}
		})
	}
}

func TestBrokenDefinitions(t *testing.T) {
	const versions, rule = "spec.versions[1].schema.openAPIV3Schema", "rule: self.size <= self.most"
	object := "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: web}\nspec: {size: 2}\n"
	properties := func(steps ...any) []any {
		return append([]any{"spec", "versions", 1, "schema", "openAPIV3Schema", "properties", "spec"}, steps...)
	}
	_, defects := decode(t, widgets)
	require.Empty(t, defects)
	for name, test := range map[string]struct {
		old, new string
		path     []any
		says     string
		object   string // what is said of an object of the kind, if that can no longer be checked
	}{
		"a rule that does not compile": {rule, "rule: self.sise <= self.most", properties("x-kubernetes-validations", 0, "rule"), "undefined field 'sise'", ""},
		"not structural":               {"type: integer, minimum: 1", "minimum: 1", properties("properties", "size", "type"), "Required value: must not be empty", "cannot be checked: its CustomResourceDefinition, from widgets.yaml, is broken"},
		"another name":                 {"widgets.example.com", "widget.example.com", []any{"metadata", "name"}, `must be spec.names.plural+"."+spec.group`, ""},
		"no schema":                    {"schema: {openAPIV3Schema: {type: object}}", "additionalPrinterColumns: []", []any{"spec", "versions", 0, "schema", "openAPIV3Schema"}, "Required value", ""},
		"two that are stored":          {"served: false, storage: false", "served: false, storage: true", []any{"spec", "versions"}, "exactly one version", ""},
		"a default of another type":    {"default: 5", "default: five", properties("properties", "most", "default"), "must be of type integer", ""},
		"a mistyped schema":            {"minimum: 1", "minimum: one", properties("properties", "size", "minimum"), `holds a string where the type wants a number`, "cannot be checked"},
		"an unknown type":              {"{type: integer, minimum: 1}", "{type: int}", properties("properties", "size", "type"), `Unsupported value: "int"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			broken := strings.Replace(widgets, test.old, test.new, 1)
			require.NotEqual(t, widgets, broken)
			_, defects := decode(t, broken)
			require.NotEmpty(t, defects)
			assert.Equal(t, test.path, defects[0].Path)
			assert.Contains(t, defects[0].Text, test.says)

			_, defects = decodeFor(t, "1.36", object, define(t, broken))
			if test.object != "" {
				require.Len(t, defects, 1)
				assert.Equal(t, []any{"kind"}, defects[0].Path)
				assert.Contains(t, defects[0].Text, test.object)
			}
		})
	}
}

// TestTheFirstDefinitionCounts, and any before an embedded one.
func TestTheFirstDefinitionCounts(t *testing.T) {
	strict := define(t, strings.ReplaceAll(widgets, "minimum: 1", "minimum: 4"))
	lax := define(t, widgets)
	text := "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: web}\nspec: {size: 2}\n"
	_, defects := decodeFor(t, "1.36", text, lax, strict)
	assert.Empty(t, defects)
	_, defects = decodeFor(t, "1.36", text, strict, lax)
	assert.Len(t, defects, 1)

	pool := "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: web}\nspec: {}\n"
	_, defects = decode(t, pool)
	assert.Len(t, defects, 1)
	own := strings.NewReplacer("group: example.com", "group: metallb.io", "Widget", "IPAddressPool", "name: v1\n", "name: v1beta1\n", "v1beta1, served", "v1, served", "required: [size]", "").Replace(widgets)
	_, defects = decodeFor(t, "1.36", strings.Replace(pool, "{}", "{size: 2}", 1), define(t, own))
	assert.Empty(t, defects)
}

func TestKindsThatTheRepositoryUsesAreKnown(t *testing.T) {
	for _, kind := range [][2]string{
		{"metallb.io/v1beta1", "IPAddressPool"},
		{"metallb.io/v1beta1", "L2Advertisement"},
		{"kustomize.toolkit.fluxcd.io/v1", "Kustomization"},
		{"source.toolkit.fluxcd.io/v1", "GitRepository"},
		{"source.toolkit.fluxcd.io/v1", "OCIRepository"},
		{"argoproj.io/v1alpha1", "Application"},
		{"argoproj.io/v1alpha1", "AppProject"},
		{"argoproj.io/v1alpha1", "ApplicationSet"},
	} {
		_, defects := decode(t, "apiVersion: "+kind[0]+"\nkind: "+kind[1]+"\nmetadata: {name: web}\nspec: {nonsense: 1}\n")
		require.NotEmpty(t, defects, "%v", kind)
		for _, defect := range defects {
			assert.Equal(t, "spec", defect.Path[0], "%v: %v", kind, defect)
		}
	}
}
