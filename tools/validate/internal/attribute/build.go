package attribute

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// kept are the fields of a kustomization that every part of the tree is built with: they change no
// object by themselves.
var kept = []string{"apiversion", "kind", "generatoroptions", "configurations", "crds", "openapi"}

// A cut is how much of the chain is built: so many changes, and of the last so many operations when it
// is a JSON patch (all when negative).
type cut struct{ changes, operations int }

// build renders nothing but the leaf's object, with nothing but the first changes of the chain.
func (o *Object) build(ctx context.Context, upTo cut) (*yaml.Node, error) {
	contents := map[string][]byte{}
	c := o.chain
	active := c.changes[:upTo.changes]
	route := append(c.leaf.route[:len(c.leaf.route):len(c.leaf.route)], hop{c.leaf.at, c.leaf.field, c.leaf.index})
	involved := map[string]*kustomization{}
	for _, at := range route {
		involved[at.from.path] = at.from
	}
	for _, each := range active {
		involved[each.in.path] = each.in
	}
	// A component is built when it leads to the object or has a change of its own or below.
	for added := true; added; {
		added = false
		for _, k := range c.used {
			if involved[k.path] == nil && slices.ContainsFunc(k.items("components"), func(item *yaml.Node) bool { return o.leads(k, item, involved) }) {
				involved[k.path], added = k, true
			}
		}
	}
	for _, k := range involved {
		written, err := o.written(k, route, active, upTo.operations, involved)
		if err != nil {
			return nil, err
		}
		contents[k.path] = written
	}
	if c.leaf.path != "" {
		written, err := yaml.Marshal(c.leaf.node)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", c.leaf.path, err)
		}
		path, err := overlay.Absolute(c.leaf.path)
		if err != nil {
			return nil, fmt.Errorf("finding %s: %w", c.leaf.path, err)
		}
		contents[path] = written
	}
	// What lies above has no change to make.
	top := c.users[0]
	if len(active) > 0 {
		top = c.users[active[len(active)-1].level]
	}
	built, err := overlay.RenderReplaced(ctx, top.dir, contents)
	if err != nil {
		return nil, err
	}
	for _, each := range built {
		if len(built) == 1 || upTo.changes == len(c.changes) && each.GetKind() == o.id.Kind && each.GetName() == o.id.Name {
			return each.YNode(), nil
		}
	}
	for _, each := range built {
		if each.GetKind() == o.id.Kind && (slices.Contains(c.names, each.GetName()) || each.GetName() == o.id.Name) {
			return each.YNode(), nil
		}
	}
	return nil, fmt.Errorf("%s is not among the %d objects of its part of the tree", o.id.Name, len(built))
}

func (o *Object) leads(k *kustomization, item *yaml.Node, involved map[string]*kustomization) bool {
	below := o.overlay.tracer.kustomization(join(k, item))
	return below != nil && involved[below.path] != nil
}

// written is a kustomization with only what leads to the object and what is active.
func (o *Object) written(k *kustomization, route []hop, active []change, operations int, involved map[string]*kustomization) ([]byte, error) {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(k.root.Content); i += 2 {
		key, value := k.root.Content[i], k.root.Content[i+1]
		field := strings.ToLower(key.Value)
		if slices.Contains(kept, field) {
			out.Content = append(out.Content, key, value)
			continue
		}
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, at := range route {
			if at.from.path == k.path && strings.EqualFold(at.field, field) && at.field != "components" {
				list.Content = append(list.Content, k.items(at.field)[at.index])
			}
		}
		if field == "components" {
			for _, item := range k.items(field) {
				if o.leads(k, item, involved) {
					list.Content = append(list.Content, item)
				}
			}
		}
		for n, each := range active {
			if each.in.path != k.path || !strings.EqualFold(each.field, field) {
				continue
			}
			if each.index < 0 {
				out.Content = append(out.Content, key, value)
				continue
			}
			limit := -1
			if n == len(active)-1 {
				limit = operations
			}
			item, err := o.item(each, limit)
			if err != nil {
				return nil, err
			}
			list.Content = append(list.Content, item)
		}
		if len(list.Content) > 0 {
			out.Content = append(out.Content, key, list)
		}
	}
	written, err := yaml.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("writing a part of %s: %w", k.path, err)
	}
	return written, nil
}

// item is the entry of a list as it is built: patches inline and without what is about other objects,
// replacements without the object that they read from.
func (o *Object) item(of change, operations int) (*yaml.Node, error) {
	switch {
	case of.patch != nil:
		content, err := of.patch.text(operations)
		if err != nil {
			return nil, err
		}
		if of.node.Kind != yaml.MappingNode {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: content + "\n"}, nil
		}
		return with(of.node, []string{"path", "patch"}, "patch", content), nil
	case of.replacement != nil:
		from := folded(of.replacement, "source")
		if from == nil {
			return of.replacement, nil
		}
		return with(of.replacement, []string{"source"}, "sourceValue", o.overlay.sourceValue(from)), nil
	}
	return of.node, nil
}

// with is a mapping without some of its fields and with another.
func with(node *yaml.Node, without []string, key, value string) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if !slices.Contains(without, strings.ToLower(node.Content[i].Value)) {
			out.Content = append(out.Content, node.Content[i], node.Content[i+1])
		}
	}
	name := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
	return appendField(out, name, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value})
}

func appendField(node, key, value *yaml.Node) *yaml.Node {
	node.Content = append(node.Content, key, value)
	return node
}

func (p *patch) text(operations int) (string, error) {
	if len(p.operations) > 0 {
		if operations < 0 {
			operations = len(p.operations)
		}
		written, err := yaml.Marshal(&yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: p.operations[:operations]})
		if err != nil {
			return "", fmt.Errorf("writing a part of %s: %w", p.source.file, err)
		}
		return string(written), nil
	}
	if p.whole {
		return p.source.text, nil
	}
	var out strings.Builder
	for _, document := range p.documents {
		written, err := yaml.Marshal(document)
		if err != nil {
			return "", fmt.Errorf("writing a part of %s: %w", p.source.file, err)
		}
		out.WriteString("---\n" + string(written))
	}
	return out.String(), nil
}
