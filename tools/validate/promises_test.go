package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/cli"
	"github.com/ft-services/ft-services/tools/validate/internal/manifest"
	"github.com/ft-services/ft-services/tools/validate/internal/report"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
	"github.com/ft-services/ft-services/tools/validate/internal/yamltest"
)

// A breach is a change to one object of the real stack that breaks one of the three main promises.
type breach struct {
	object *manifest.Object
	policy string
	field  *regexp.Regexp
	merge  map[string]any // the change as a strategic merge patch, without the object's identity
	json   []any          // the same as a JSON Patch
	edit   func(object map[string]any)
}

// ways are the ways in which Kustomize can make the same change. Each returns the directory of an
// overlay that has it, in a copy of the repository, and the file to which the change was written.
var ways = map[string]func(t *testing.T, root string, b breach) (dir, file string){
	"base": func(t *testing.T, root string, b breach) (dir, file string) {
		return "overlays/minikube", rewrite(t, root, b, func(documents []map[string]any) []map[string]any { return documents })
	},
	"list": func(t *testing.T, root string, b breach) (dir, file string) {
		return "overlays/minikube", rewrite(t, root, b, func(documents []map[string]any) []map[string]any {
			return []map[string]any{{"apiVersion": "v1", "kind": "List", "items": documents}}
		})
	},
	"strategic merge patch": func(t *testing.T, root string, b breach) (dir, file string) {
		writeYAML(t, filepath.Join(root, "overlays/mutant/kustomization.yaml"), map[string]any{
			"resources": []any{"../minikube"},
			"patches":   []any{map[string]any{"patch": text(t, b.mergePatch())}},
		})
		return "overlays/mutant", "overlays/mutant/kustomization.yaml"
	},
	"JSON6902 patch": func(t *testing.T, root string, b breach) (dir, file string) {
		writeYAML(t, filepath.Join(root, "overlays/mutant/kustomization.yaml"), map[string]any{
			"resources": []any{"../minikube"},
			"patches":   []any{map[string]any{"patch": text(t, b.json), "target": b.target()}},
		})
		return "overlays/mutant", "overlays/mutant/kustomization.yaml"
	},
	"component": func(t *testing.T, root string, b breach) (dir, file string) {
		writeYAML(t, filepath.Join(root, "overlays/mutant/kustomization.yaml"), map[string]any{
			"resources":  []any{"../minikube"},
			"components": []any{"../../base/mutation"},
		})
		writeYAML(t, filepath.Join(root, "base/mutation/patch.yaml"), b.mergePatch())
		writeYAML(t, filepath.Join(root, "base/mutation/kustomization.yaml"), map[string]any{
			"apiVersion": "kustomize.config.k8s.io/v1alpha1",
			"kind":       "Component",
			"patches":    []any{map[string]any{"path": "patch.yaml"}},
		})
		return "overlays/mutant", "base/mutation/patch.yaml"
	},
}

func (b breach) mergePatch() map[string]any {
	patch := map[string]any{
		"apiVersion": b.object.APIVersion,
		"kind":       b.object.Kind,
		"metadata":   map[string]any{"name": b.object.Name, "namespace": b.object.Namespace},
	}
	for key, value := range b.merge {
		patch[key] = value
	}
	return patch
}

func (b breach) target() map[string]any {
	return map[string]any{"kind": b.object.Kind, "name": b.object.Name, "namespace": b.object.Namespace}
}

// TestMainPromises breaks the three promises that the repository is about, on every object that keeps
// them and in every way in which Kustomize can change it, and expects the overlay, the object, the
// field and the place of the change to be named.
func TestMainPromises(t *testing.T) {
	schemas, err := schema.NewLibrary().Set("1.34")
	require.NoError(t, err)
	objects := renderObjects(t, "../../overlays/minikube", manifest.NewDecoder(schemas))
	breaches := mainBreaches(objects)
	require.Greater(t, len(breaches), 25, "Services and containers found")
	for _, b := range breaches {
		for way, apply := range ways {
			t.Run(fmt.Sprintf("%s %s/%s", b.object, b.policy, way), func(t *testing.T) {
				t.Parallel()
				root := copyRepository(t)
				dir, source := apply(t, root, b)
				code, result := validate(t, root, dir)
				require.Equal(t, cli.ExitViolations, code)
				require.Len(t, result.Overlays, 1)
				require.Equal(t, filepath.Join(root, dir), result.Overlays[0].Name)
				require.True(t, slices.ContainsFunc(result.Findings, func(f report.Finding) bool {
					return f.Policy == b.policy && f.Object == b.object.String() && b.field.MatchString(f.Field) && strings.HasSuffix(f.File, source) && f.Line > 0 && f.Column > 0
				}), "want %s on %s %s from %s, got %+v", b.policy, b.object, b.field, source, result.Findings)
			})
		}
	}
}

func mainBreaches(objects []map[string]any) []breach {
	var breaches []breach
	for _, fields := range objects {
		object := manifest.New(fields)
		switch object.Kind {
		case "Service":
			breaches = append(breaches, breach{
				object: object,
				policy: "services/no_nodeport",
				field:  regexp.MustCompile(`^spec\.type$`),
				merge:  map[string]any{"spec": map[string]any{"type": "NodePort"}},
				json:   []any{map[string]any{"op": "add", "path": "/spec/type", "value": "NodePort"}},
				edit:   func(object map[string]any) { at(object, "spec")["type"] = "NodePort" },
			})
			if object.Name == "wordpress" {
				breaches = append(breaches, breach{
					object: object,
					policy: "services/web_ports",
					field:  regexp.MustCompile(`^spec\.ports\[[01]\]\.port$`),
					merge:  map[string]any{"spec": map[string]any{"ports": []any{at(object.Value, "spec")["ports"].([]any)[0], map[string]any{"name": "web", "port": 443, "targetPort": "https"}}}},
					json:   []any{map[string]any{"op": "add", "path": "/spec/ports/-", "value": map[string]any{"name": "web", "port": 443, "targetPort": "https"}}},
					edit: func(object map[string]any) {
						spec := at(object, "spec")
						spec["ports"] = append(spec["ports"].([]any), map[string]any{"name": "web", "port": 443, "targetPort": "https"})
					},
				})
			}
		case "Deployment", "DaemonSet":
			for i, container := range at(object.Value, "spec", "template", "spec")["containers"].([]any) {
				name := container.(map[string]any)["name"]
				breaches = append(breaches, breach{
					object: object,
					policy: "workloads/liveness_probe",
					// A strategic merge patch moves the containers that it names to the front.
					field: regexp.MustCompile(`^spec\.template\.spec\.containers\[\d\]\.livenessProbe$`),
					merge: map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
						"containers": []any{map[string]any{"name": name, "livenessProbe": nil}},
					}}}},
					json: []any{map[string]any{"op": "remove", "path": fmt.Sprintf("/spec/template/spec/containers/%d/livenessProbe", i)}},
					edit: func(object map[string]any) {
						delete(at(object, "spec", "template", "spec")["containers"].([]any)[i].(map[string]any), "livenessProbe")
					},
				})
			}
		}
	}
	return breaches
}

func at(value map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		value = value[key].(map[string]any)
	}
	return value
}

// copyRepository copies what the validator reads.
func copyRepository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"base", "overlays"} {
		require.NoError(t, os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join("../..", dir))))
	}
	return root
}

// sourceOf is the file of base/ that holds the object, from the repository's root.
func sourceOf(t *testing.T, root string, object *manifest.Object) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "base/*", strings.ToLower(object.Kind)+".yaml"))
	require.NoError(t, err)
	for _, file := range files {
		for _, document := range yamltest.Documents(t, file) {
			if manifest.New(document).Name == object.Name {
				short, err := filepath.Rel(root, file)
				require.NoError(t, err)
				return short
			}
		}
	}
	require.Fail(t, "no base file holds "+object.String())
	return ""
}

// rewrite makes the change in the base file itself and writes the file's documents as arrange wants
// them. It returns the file.
func rewrite(t *testing.T, root string, b breach, arrange func([]map[string]any) []map[string]any) string {
	t.Helper()
	source := sourceOf(t, root, b.object)
	file := filepath.Join(root, source)
	documents := yamltest.Documents(t, file)
	for _, document := range documents {
		if manifest.New(document).Name == b.object.Name {
			b.edit(document)
		}
	}
	var out bytes.Buffer
	for _, document := range arrange(documents) {
		out.WriteString("---\n" + text(t, document))
	}
	require.NoError(t, os.WriteFile(file, out.Bytes(), 0o600))
	return source
}

func writeYAML(t *testing.T, file string, value any) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text(t, value)), 0o600))
}

func text(t *testing.T, value any) string {
	t.Helper()
	out, err := yaml.Marshal(value)
	require.NoError(t, err)
	return string(out)
}

// validate runs the command line on an overlay of a copy, with the real policies.
func validate(t *testing.T, root, dir string) (int, report.Report) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(context.Background(), []string{"--policies", "../../policies", "-o", "json", filepath.Join(root, dir)}, &stdout, &stderr)
	require.Empty(t, stderr.String())
	var result report.Report
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &result))
	return code, result
}
