// Command generate writes the schemas of the custom resources that the validator knows, from the
// CustomResourceDefinitions in pinned Go modules. With -check it only compares.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// source is a module whose zip carries CustomResourceDefinitions. The sum is the module's hash as
// go.sum would hold it.
type source struct {
	module, version, sum string
	pattern              string
}

var sources = []source{
	{"go.universe.tf/metallb", "v0.15.2", "h1:r7KDgJtk3KZe3qb36zRVrVCYHxLR03nPGT+qFXOomJM=", "config/crd/bases/*.yaml"},
	{"github.com/fluxcd/kustomize-controller", "v1.9.6", "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE=", "config/crd/bases/*.yaml"},
	{"github.com/fluxcd/source-controller", "v1.9.6", "h1:nG534/bI6nVpyHra7ONAk6xDB3xPsVT+EOLHZHXPrrc=", "config/crd/bases/*.yaml"},
	{"github.com/argoproj/argo-cd/v3", "v3.5.7", "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=", "manifests/crds/app*-crd.yaml"},
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
			return fmt.Errorf("reading the definitions of %s: %w", source.module, err)
		}
	}
	text, err := json.Marshal(schemas)
	if err != nil {
		return fmt.Errorf("encoding the schemas: %w", err)
	}
	if check {
		return compare(out, text)
	}
	var compressed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := writer.Write(text); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(out, compressed.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the schemas: %w", err)
	}
	fmt.Printf("%s: %d kinds, %d bytes\n", out, len(schemas), compressed.Len())
	return nil
}

// compare looks at the content, not at the bytes: another Go release may compress differently.
func compare(path string, want []byte) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the schemas: %w", err)
	}
	defer file.Close()
	reader, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	got, err := io.ReadAll(reader)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s is not what the pinned modules give; run `go generate ./...` in tools/validate", path)
	}
	fmt.Printf("%s: as generated\n", path)
	return nil
}

func (s source) collect(schemas map[string]any) error {
	dir, err := s.download()
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

// download lets the go command fetch and verify the module, and compares its hash with the pinned one.
func (s source) download() (string, error) {
	command := exec.Command("go", "mod", "download", "-json", s.module+"@"+s.version)
	command.Stderr = os.Stderr
	// Outside a module: the definitions are data, not a dependency.
	command.Dir = os.TempDir()
	command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	text, runErr := command.Output()
	var answer struct{ Dir, Sum, Error string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", errors.Join(runErr, err)
	}
	switch {
	case answer.Error != "":
		return "", errors.New(answer.Error)
	case answer.Sum != s.sum:
		return "", fmt.Errorf("its hash is %s, pinned is %s", answer.Sum, s.sum)
	}
	return answer.Dir, nil
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
