package check_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/check"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

func TestTheVersionOfAnOverlay(t *testing.T) {
	type object = map[string]any
	fact := func(kubernetes any) object { return object{"facts": object{"kubernetes": kubernetes}} }
	newest := schema.Minors()[len(schema.Minors())-1]
	for name, test := range map[string]struct {
		facts  object
		want   string // of overlays/argocd
		broken string
	}{
		"no facts":              {nil, newest, ""},
		"other facts":           {object{"facts": object{"part_of": "x"}}, newest, ""},
		"a version":             {fact(object{"version": "1.35"}), "1.35", ""},
		"a patch release":       {fact(object{"version": "v1.35.2"}), "1.35", ""},
		"the overlay's own":     {fact(object{"version": "1.35", "overlays": []any{object{"overlay": "overlays/argo*", "version": "1.36"}}}), "1.36", ""},
		"another overlay's":     {fact(object{"version": "1.35", "overlays": []any{object{"overlay": "overlays/flux", "version": "1.36"}}}), "1.35", ""},
		"the first that fits":   {fact(object{"overlays": []any{object{"overlay": "argocd", "version": "1.34"}, object{"overlay": "*", "version": "1.36"}}}), "1.34", ""},
		"an unknown version":    {fact(object{"version": "1.20"}), "", `unknown version of Kubernetes "1.20"`},
		"a number":              {fact(object{"version": 1.34}), "", "versions are written in quotes"},
		"no version":            {fact(object{"overlays": []any{object{"overlay": "*"}}}), "", `overlays[0]: unknown version of Kubernetes ""`},
		"no glob":               {fact(object{"overlays": []any{object{"overlay": "[", "version": "1.34"}}}), "", `overlays[0]: overlay "[" is no glob`},
		"an unknown field":      {fact(object{"minor": "1.34"}), "", `unknown field "minor"`},
		"something else at all": {fact("1.34"), "", "reading the fact kubernetes"},
	} {
		t.Run(name, func(t *testing.T) {
			kubernetes, err := check.KubernetesOf(test.facts)
			if test.broken != "" {
				assert.ErrorContains(t, err, test.broken)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, kubernetes.Of("overlays/argocd"))
		})
	}
}

// TestTheDefinitionsOfOthers are those of overlays that a change does not touch.
func TestTheDefinitionsOfOthers(t *testing.T) {
	root := t.TempDir()
	overlay := func(name, text string) string {
		dir := filepath.Join(root, name)
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: [objects.yaml]\n"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "objects.yaml"), []byte(text), 0o600))
		return dir
	}
	operator := overlay("operator", `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}}
`)
	user := overlay("user", "{apiVersion: example.com/v1, kind: Widget, metadata: {name: web}, spec: {size: big}}\n")
	plain := overlay("plain", "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}}\n")
	for name, test := range map[string]struct {
		dirs, others, checked []string
		says                  string
	}{
		"all together":              {[]string{user, operator}, nil, []string{user, operator}, "must be of type integer"},
		"what defines is unchanged": {[]string{user}, []string{plain, operator}, []string{user}, "must be of type integer"},
		"what defines has changed":  {[]string{operator}, []string{plain, user}, []string{operator, plain, user}, "must be of type integer"},
		"nothing of it has changed": {[]string{plain}, []string{user, operator}, []string{plain}, ""},
		"nothing defines":           {[]string{user}, []string{plain}, []string{user}, "no schema is known"},
	} {
		t.Run(name, func(t *testing.T) {
			checker := newChecker(t)
			checker.Others = test.others
			result := checker.Run(t.Context(), test.dirs)
			var checked []string
			for _, each := range result.Overlays {
				checked = append(checked, each.Name)
				assert.Empty(t, each.Error)
			}
			assert.Equal(t, test.checked, checked)
			if test.says == "" {
				assert.Empty(t, result.Findings)
				return
			}
			require.Len(t, result.Findings, 1)
			assert.Contains(t, result.Findings[0].Message, test.says)
		})
	}
}
