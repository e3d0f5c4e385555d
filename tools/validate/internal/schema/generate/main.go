// Command generate writes the schemas of the custom resources that the validator knows, from the
// CustomResourceDefinitions in pinned Go modules. With -check it only compares.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/pinned"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// source is a module that carries CustomResourceDefinitions.
type source struct {
	pinned.Module
	pattern string
}

var sources = []source{
	{pinned.Module{Path: "go.universe.tf/metallb", Version: "v0.15.2", Sum: "h1:r7KDgJtk3KZe3qb36zRVrVCYHxLR03nPGT+qFXOomJM="}, "config/crd/bases/*.yaml"},
	{pinned.Module{Path: "github.com/fluxcd/kustomize-controller", Version: "v1.9.6", Sum: "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE="}, "config/crd/bases/*.yaml"},
	{pinned.Module{Path: "github.com/fluxcd/source-controller", Version: "v1.9.6", Sum: "h1:nG534/bI6nVpyHra7ONAk6xDB3xPsVT+EOLHZHXPrrc="}, "config/crd/bases/*.yaml"},
	{pinned.Module{Path: "github.com/argoproj/argo-cd/v3", Version: "v3.5.7", Sum: "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0="}, "manifests/crds/app*-crd.yaml"},
}

func main() {
	out := flag.String("out", "crds.json.gz", "file to write")
	check := flag.Bool("check", false, "write nothing; fail if the file differs from what would be written")
	flag.Parse()
	if err := run(*out, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(out string, check bool) error {
	schemas := map[string]any{}
	for _, source := range sources {
		if err := source.collect(schemas); err != nil {
			return fmt.Errorf("reading the definitions of %s: %w", source.Path, err)
		}
	}
	text, err := json.Marshal(schemas)
	if err != nil {
		return fmt.Errorf("encoding the schemas: %w", err)
	}
	if check {
		if err := pinned.Compare(out, text); err != nil {
			return err
		}
		fmt.Printf("%s: as generated\n", out)
		return nil
	}
	size, err := pinned.Write(out, text)
	if err != nil {
		return fmt.Errorf("writing the schemas: %w", err)
	}
	fmt.Printf("%s: %d kinds, %d bytes\n", out, len(schemas), size)
	return nil
}

func (s source) collect(schemas map[string]any) error {
	dir, err := s.Download()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, s.pattern))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no file matches %s", s.pattern)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := add(schemas, text); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
	return nil
}

func add(schemas map[string]any, text []byte) error {
	var definition struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Served bool
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	for _, version := range definition.Spec.Versions {
		if !version.Served {
			continue
		}
		root := version.Schema.OpenAPIV3Schema
		properties, ok := root["properties"].(map[string]any)
		if !ok {
			return fmt.Errorf("version %s has no properties", version.Name)
		}
		tighten(root)
		properties["metadata"] = objectMeta
		root["required"] = []any{"apiVersion", "kind", "metadata"}
		schemas[schema.Key(definition.Spec.Group, version.Name, definition.Spec.Names.Kind)] = root
	}
	return nil
}

// tighten drops what only people read and closes every object that lists its properties, as the API
// server does when it is asked for strict field validation.
func tighten(node map[string]any) {
	for _, key := range []string{"description", "default", "example", "externalDocs", "title"} {
		delete(node, key)
	}
	if node["x-kubernetes-int-or-string"] == true {
		delete(node, "type")
		node["anyOf"] = []any{map[string]any{"type": "integer"}, map[string]any{"type": "string"}}
	}
	open := node["x-kubernetes-preserve-unknown-fields"] == true
	for key := range node {
		if len(key) > 2 && key[:2] == "x-" {
			delete(node, key)
		}
	}
	if properties, ok := node["properties"].(map[string]any); ok {
		for _, property := range properties {
			if property, ok := property.(map[string]any); ok {
				tighten(property)
			}
		}
		if _, ok := node["additionalProperties"]; !ok && !open {
			node["additionalProperties"] = false
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if child, ok := node[key].(map[string]any); ok {
			tighten(child)
		}
	}
}

var (
	text      = map[string]any{"type": "string"}
	textMap   = map[string]any{"type": "object", "additionalProperties": text}
	anyObject = map[string]any{"type": "object"}

	// objectMeta is the part of an object's metadata that a manifest may hold.
	// Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
	objectMeta = map[string]any{
		"type":                 "object",
		"required":             []any{"name"},
		"additionalProperties": false,
		"properties": map[string]any{
			"name": text, "namespace": text, "generateName": text,
			"labels": textMap, "annotations": textMap,
			"finalizers":      map[string]any{"type": "array", "items": text},
			"ownerReferences": map[string]any{"type": "array", "items": anyObject},
		},
	}
)
