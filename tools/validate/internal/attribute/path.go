package attribute

import (
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// identifying are the keys by which an item of a list is known again, the most telling first.
var identifying = []string{"name", "mountPath", "devicePath", "containerPort", "port", "key", "ip", "topologyKey", "host", "path", "kind", "type"}

// entry is the key and the value of a mapping's field, nil when it has none. What a merge key (<<)
// brings counts too.
func entry(node *yaml.Node, key string) (*yaml.Node, *yaml.Node) {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i], node.Content[i+1]
		}
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value != "<<" {
			continue
		}
		if value := node.Content[i+1]; value.Kind == yaml.MappingNode {
			return entry(value, key)
		}
		for _, merged := range node.Content[i+1].Content {
			if name, value := entry(merged, key); value != nil {
				return name, value
			}
		}
	}
	return nil, nil
}

func child(node *yaml.Node, key string) *yaml.Node {
	_, value := entry(node, key)
	return value
}

// folded is child for kustomizations, whose keys Kustomize reads in any case.
func folded(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if strings.EqualFold(node.Content[i].Value, key) {
			return node.Content[i+1]
		}
	}
	return nil
}

func text(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.ScalarNode {
		return ""
	}
	return node.Value
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

// step goes one step down; the key is nil in a list. A null is a field that is not there.
func step(node *yaml.Node, where any) (key, value *yaml.Node) {
	switch where := where.(type) {
	case string:
		key, value = entry(node, where)
	case int:
		if node != nil && node.Kind == yaml.SequenceNode && where >= 0 && where < len(node.Content) {
			value = node.Content[where]
		}
	}
	if value != nil && isNull(value) {
		return nil, nil
	}
	return key, value
}

// lookup is the node at the path, nil when there is none.
func lookup(node *yaml.Node, path []any) *yaml.Node {
	for _, where := range path {
		if node == nil {
			return nil
		}
		_, node = step(node, where)
	}
	return node
}

// existing is the longest beginning of the path that is there.
func existing(node *yaml.Node, path []any) []any {
	for i, where := range path {
		if _, node = step(node, where); node == nil {
			return path[:i]
		}
	}
	return path
}

// spot is the node that shows where the field at the path is written, as far down as that is there: a
// scalar itself, the key of anything larger.
func spot(node *yaml.Node, path []any) *yaml.Node {
	shown := node
	for _, where := range path {
		key, value := step(node, where)
		if value == nil {
			break
		}
		node, shown = value, value
		if key != nil && value.Kind != yaml.ScalarNode {
			shown = key
		}
	}
	return shown
}

// translate finds where in `to` that is which in `from` is at the path: items of a list are known by
// what identifies them. It returns as much of the way as there is, and whether that is all.
func translate(from, to *yaml.Node, path []any) ([]any, bool) {
	var way []any
	for _, where := range path {
		_, below := step(from, where)
		if index, ok := where.(int); ok && from != nil && from.Kind == yaml.SequenceNode && to.Kind == yaml.SequenceNode && below != nil {
			if index = same(from, to, index); index < 0 {
				return way, false
			}
			where = index
		}
		_, next := step(to, where)
		if next == nil {
			return way, false
		}
		way = append(way, where)
		from, to = below, next
	}
	return way, true
}

// same is the index in `to` of the item that stands at index in `from`, -1 when it is not there.
func same(from, to *yaml.Node, index int) int {
	item := from.Content[index]
	if item.Kind == yaml.MappingNode {
		for _, key := range identifying {
			value := child(item, key)
			if value == nil || value.Kind != yaml.ScalarNode {
				continue
			}
			found, count := -1, 0
			for i, other := range to.Content {
				if twin := child(other, key); twin != nil && twin.Value == value.Value {
					found = i
					count++
				}
			}
			if count == 1 {
				return found
			}
			if count == 0 && key == "name" {
				return -1
			}
		}
	}
	if index < len(to.Content) && equal(item, to.Content[index]) {
		return index
	}
	for i, other := range to.Content {
		if equal(item, other) {
			return i
		}
	}
	if len(from.Content) == len(to.Content) {
		return index
	}
	return -1
}

// equal compares values, whatever their place and style.
func equal(a, b *yaml.Node) bool {
	if a == nil || b == nil || a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return a == b
	}
	switch a.Kind {
	case yaml.ScalarNode:
		return a.Value == b.Value && a.ShortTag() == b.ShortTag()
	case yaml.MappingNode:
		for i := 0; i+1 < len(a.Content); i += 2 {
			if !equal(a.Content[i+1], child(b, a.Content[i].Value)) {
				return false
			}
		}
		return true
	}
	for i := range a.Content {
		if !equal(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
