package manifest

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// maxDepth bounds nesting, so that hostile input ends with an error and not with a full stack.
const maxDepth = 500

// convert turns a YAML node into what JSON would hold and notes keys that stand twice in a mapping.
// It goes without the text in between, which is where most of the time would go. What path holds beyond
// its length is overwritten.
func convert(node *yaml.Node, path []any, defects *[]Defect) (any, error) {
	if len(path) > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	switch node.Kind {
	case yaml.DocumentNode:
		return convert(node.Content[0], path, defects)
	case yaml.AliasNode:
		return convert(node.Alias, path, defects)
	case yaml.MappingNode:
		fields := make(map[string]any, len(node.Content)/2)
		for i := 0; i+1 < len(node.Content); i += 2 {
			written := node.Content[i]
			if written.Kind == yaml.AliasNode {
				written = written.Alias
			}
			if written.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("line %d: a key is a list or a mapping; only a text can be one", written.Line)
			}
			key := written.Value
			below := append(path, key)
			if _, twice := fields[key]; twice {
				*defects = append(*defects, Defect{slices.Clone(below), fmt.Sprintf("the key %q stands twice in the same mapping", key)})
			}
			value, err := convert(node.Content[i+1], below, defects)
			if err != nil {
				return nil, err
			}
			fields[key] = value
		}
		// Kubernetes takes a null for a field that is not there, and so must the policies.
		maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
		return fields, nil
	case yaml.SequenceNode:
		items := make([]any, len(node.Content))
		for i, child := range node.Content {
			value, err := convert(child, append(path, i), defects)
			if err != nil {
				return nil, err
			}
			items[i] = value
		}
		return items, nil
	case yaml.ScalarNode:
		return scalar(node)
	}
	return nil, fmt.Errorf("unexpected YAML node of kind %d", node.Kind)
}

func scalar(node *yaml.Node) (any, error) {
	if node.ShortTag() == yaml.NodeTagString {
		return node.Value, nil
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, fmt.Errorf("line %d: a value tagged %s does not read as one", node.Line, node.Tag)
	}
	switch number := value.(type) {
	case int:
		return int64(number), nil
	case uint64:
		return nil, fmt.Errorf("line %d: a value is too large a number", node.Line)
	case float64:
		if math.IsNaN(number) || math.IsInf(number, 0) {
			return nil, fmt.Errorf("line %d: a value is no number that JSON knows", node.Line)
		}
	case nil, bool, int64, string:
	default:
		// A timestamp or a binary: what is written, as Kubernetes would read it.
		return node.Value, nil
	}
	return value, nil
}
