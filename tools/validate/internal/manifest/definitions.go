package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/regular"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// LoadDefinitions reads the CustomResourceDefinitions in files, and in all YAML and JSON files below
// directories. Other objects in them are passed over, but a path without any definition is an error.
func LoadDefinitions(paths []string) ([]*schema.Definition, error) {
	var all []*schema.Definition
	for _, path := range paths {
		before := len(all)
		err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			if file != path && !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)) {
				return nil
			}
			found, err := definitionsIn(file)
			all = append(all, found...)
			return err
		})
		if err == nil && len(all) == before {
			err = fmt.Errorf("%s holds no CustomResourceDefinition of apiextensions.k8s.io/v1", path)
		}
		if err != nil {
			return nil, fmt.Errorf("loading CustomResourceDefinitions: %w", err)
		}
	}
	return all, nil
}

func definitionsIn(file string) ([]*schema.Definition, error) {
	text, err := regular.Read(file)
	if err != nil {
		return nil, err
	}
	var found []*schema.Definition
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var document yaml.Node
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		for _, node := range objectsIn(&document) {
			if kind := yaml.NewRNode(node).GetKind(); kind != schema.DefinitionKind {
				continue
			}
			object, defects, err := Read(yaml.NewRNode(node))
			if err == nil && len(defects) > 0 {
				err = errors.New(defects[0].Text)
			}
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, node.Line, err)
			}
			definition, err := schema.NewDefinition(object.Value, file)
			if err == nil && definition == nil {
				err = fmt.Errorf("%s: it is not of apiextensions.k8s.io/v1, or names no group and kind", object)
			}
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, node.Line, err)
			}
			found = append(found, definition)
		}
	}
}

// objectsIn returns the mapping that a document is, or those that it lists.
func objectsIn(document *yaml.Node) []*yaml.Node {
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return nil
	}
	root := document.Content[0]
	items := yaml.NewRNode(root).Field("items")
	if items.IsNilOrEmpty() || items.Value.YNode().Kind != yaml.SequenceNode {
		return []*yaml.Node{root}
	}
	return slices.DeleteFunc(slices.Clone(items.Value.YNode().Content), func(item *yaml.Node) bool { return item.Kind != yaml.MappingNode })
}
