package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// collect adds the CustomResourceDefinitions of a module, with what validates and without what only
// people read.
func (s source) collect(entries map[string]any) error {
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
		if err := add(entries, text); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
	return nil
}

func add(entries map[string]any, text []byte) error {
	var definition struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec struct {
			Group    string         `json:"group"`
			Names    map[string]any `json:"names"`
			Scope    string         `json:"scope"`
			Versions []struct {
				Name         string         `json:"name"`
				Served       bool           `json:"served"`
				Storage      bool           `json:"storage"`
				Schema       map[string]any `json:"schema"`
				Subresources map[string]any `json:"subresources,omitempty"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	var served []string
	kind, _ := definition.Spec.Names["kind"].(string)
	for _, version := range definition.Spec.Versions {
		root, ok := version.Schema["openAPIV3Schema"].(map[string]any)
		if !ok {
			return fmt.Errorf("version %s has no schema", version.Name)
		}
		withoutProse(root)
		if version.Served {
			served = append(served, version.Name)
		}
	}
	entries[schema.Key(definition.Spec.Group, kind)+" "+strings.Join(served, ",")] = definition
	return nil
}

// withoutProse drops descriptions, of a schema and of all in it.
func withoutProse(node map[string]any) {
	for _, key := range []string{"description", "example", "externalDocs", "title"} {
		delete(node, key)
	}
	for _, key := range []string{"properties", "patternProperties"} {
		children, _ := node[key].(map[string]any)
		for _, child := range children {
			if child, ok := child.(map[string]any); ok {
				withoutProse(child)
			}
		}
	}
	for _, key := range []string{"items", "additionalProperties", "not"} {
		if child, ok := node[key].(map[string]any); ok {
			withoutProse(child)
		}
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		children, _ := node[key].([]any)
		for _, child := range children {
			if child, ok := child.(map[string]any); ok {
				withoutProse(child)
			}
		}
	}
}
