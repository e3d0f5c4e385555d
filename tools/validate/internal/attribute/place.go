package attribute

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// writtenBy is the place in the change that has written the field, which is at the path after it.
func (o *Object) writtenBy(ctx context.Context, index int, after *yaml.Node, path []any) Place {
	c := &o.chain.changes[index]
	last := ""
	if len(path) > 0 {
		last, _ = path[len(path)-1].(string)
	}
	own := func(node *yaml.Node) Place {
		if node == nil {
			node = c.node
		}
		return c.in.source.at(node)
	}
	switch strings.ToLower(c.field) {
	case "patches", "patchesstrategicmerge", "patchesjson6902":
		if len(c.patch.operations) > 0 {
			operation := o.operation(ctx, index, func(before *yaml.Node) bool {
				way, all := translate(after, before, path)
				return !all || !equal(lookup(before, way), lookup(after, path))
			})
			return c.patch.source.at(operand(operation, path))
		}
		return c.patch.merged(after, path)
	case "configmapgenerator", "secretgenerator":
		return generated(c.in, c.node, path)
	case "labels":
		return own(child(folded(c.node, "pairs"), last))
	case "commonlabels", "commonannotations":
		return own(child(c.node, last))
	case "replicas":
		return own(folded(c.node, "count"))
	case "images":
		return own(o.image(ctx, index, after, path))
	case "replacements":
		return c.where.at(target(c.replacement, last))
	case "transformers":
		return o.configured(c, lookup(after, path))
	}
	return own(nil)
}

// removedBy is the place in the change that has removed the field, which was at the path before it.
func (o *Object) removedBy(ctx context.Context, index int, before *yaml.Node, path []any) Place {
	c := &o.chain.changes[index]
	switch {
	case c.patch == nil && c.field == "transformers":
		return o.configured(c, nil)
	case c.patch == nil:
		return c.in.source.at(c.node)
	case len(c.patch.operations) > 0:
		return c.patch.source.at(o.operation(ctx, index, func(earlier *yaml.Node) bool {
			way, all := translate(before, earlier, path)
			return all && lookup(earlier, way) != nil
		}))
	}
	return c.patch.removal(before, path)
}

// operation is the one of a JSON patch before which the field was otherwise.
func (o *Object) operation(ctx context.Context, index int, otherwise func(before *yaml.Node) bool) *yaml.Node {
	operations := o.chain.changes[index].patch.operations
	for n := len(operations) - 1; n > 0; n-- {
		if before := o.at(ctx, cut{index + 1, n}); before != nil && otherwise(before) {
			return operations[n]
		}
	}
	return operations[0]
}

// pointer is where an operation writes.
func pointer(operation *yaml.Node) []string {
	text := text(child(operation, "path"))
	if text == "" {
		return nil
	}
	steps := strings.Split(strings.TrimPrefix(text, "/"), "/")
	for i := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(steps[i])
	}
	return steps
}

// writes tells whether an operation writes the field or something that holds it.
func writes(operation *yaml.Node, path []any) bool {
	steps := pointer(operation)
	if len(steps) > len(path) || text(child(operation, "op")) == "test" || text(child(operation, "op")) == "remove" {
		return false
	}
	for i, step := range steps {
		switch where := path[i].(type) {
		case string:
			if where != step {
				return false
			}
		case int:
			// At the end of a list the index is not said, and others may have moved it.
			if step != "-" && step != strconv.Itoa(where) {
				return false
			}
		}
	}
	return true
}

// inserts tells whether an operation that writes the field does so with a new item of a list.
func inserts(operation *yaml.Node, path []any) bool {
	steps := pointer(operation)
	if len(steps) == 0 || text(child(operation, "op")) == "replace" {
		return false
	}
	_, item := path[len(steps)-1].(int)
	return item
}

// operand is what an operation writes to the field: its value or the part of that.
func operand(operation *yaml.Node, path []any) *yaml.Node {
	value := child(operation, "value")
	steps := pointer(operation)
	if value == nil {
		return operation
	}
	if len(steps) > len(path) {
		return value
	}
	if shown := spot(value, path[len(steps):]); shown.Kind != yaml.MappingNode || shown != value {
		return shown
	}
	key, _ := entry(operation, "value")
	return key
}

// merged is the place in a strategic merge patch that wrote the field.
func (p *patch) merged(after *yaml.Node, path []any) Place {
	node, deepest := p.documents[0], -1
	for _, document := range p.documents {
		way, _ := translate(after, document, path)
		if len(way) >= deepest {
			node, deepest = spot(document, way), len(way)
		}
	}
	return p.source.at(node)
}

// removal is the place in a strategic merge patch that removed the field, which was at the path before.
func (p *patch) removal(before *yaml.Node, path []any) Place {
	node, deepest := p.documents[0], -1
	for _, document := range p.documents {
		if shown, depth := directive(before, document, path); depth >= deepest {
			node, deepest = shown, depth
		}
	}
	return p.source.at(node)
}

// directive goes down a strategic merge patch as far as it has the path, to the null or the directive
// that removes what is there.
func directive(before, patch *yaml.Node, path []any) (*yaml.Node, int) {
	shown, depth := patch, 0
	for i := 0; ; i++ {
		if order := child(patch, "$patch"); order != nil {
			return order, len(path) + 1
		}
		for _, item := range patch.Content {
			if order := child(item, "$patch"); patch.Kind == yaml.SequenceNode && order != nil && len(item.Content) == 2 {
				return order, len(path) + 1
			}
		}
		if i == len(path) {
			return shown, depth
		}
		if name, ok := path[i].(string); ok {
			if value := child(patch, name); value != nil && isNull(value) {
				return value, len(path) + 1
			}
		}
		way, all := translate(before, patch, path[i:i+1])
		if !all {
			return shown, depth
		}
		key, next := step(patch, way[0])
		_, before = step(before, path[i])
		patch, shown, depth = next, next, i+1
		if key != nil && next.Kind != yaml.ScalarNode {
			shown = key
		}
	}
}

// image is the field of an entry of `images` that changed an image: the name, or what comes after it.
func (o *Object) image(ctx context.Context, index int, after *yaml.Node, path []any) *yaml.Node {
	c := &o.chain.changes[index]
	fields := []string{"digest", "newTag", "tagSuffix", "newName"}
	if before := o.at(ctx, cut{index, -1}); before != nil {
		if way, all := translate(after, before, path); all {
			_, oldVersion := split(text(lookup(before, way)))
			if _, version := split(text(lookup(after, path))); version == oldVersion {
				fields = []string{"newName"}
			}
		}
	}
	for _, field := range fields {
		if node := folded(c.node, field); node != nil {
			return node
		}
	}
	return c.node
}

// split takes an image apart into its name, and its tag and digest.
func split(image string) (name, version string) {
	end := strings.LastIndex(image, "/") + 1
	if at := strings.IndexAny(image[end:], ":@"); at >= 0 {
		end += at
		return image[:end], image[end:]
	}
	return image, ""
}

// target is the path of a replacement's targets that ends in the key, the replacement when none does.
func target(replacement *yaml.Node, key string) *yaml.Node {
	if targets := folded(replacement, "targets"); targets != nil {
		for _, each := range targets.Content {
			paths := folded(each, "fieldPaths")
			if paths == nil {
				continue
			}
			for _, path := range paths.Content {
				if key != "" && strings.HasSuffix("."+path.Value, "."+key) {
					return path
				}
			}
		}
	}
	return replacement
}

// configured is the place in the configuration of a transformer that has the value.
func (o *Object) configured(c *change, value *yaml.Node) Place {
	from := c.in.source.within(c.node)
	if !strings.Contains(c.node.Value, "\n") {
		read := o.overlay.tracer.file(c.in, c.node.Value)
		if read == nil {
			return c.in.source.at(c.node)
		}
		from = read.source
	}
	documents := from.documents()
	for _, document := range documents {
		if found := holding(document, value); found != nil {
			return from.at(found)
		}
	}
	if len(documents) == 0 {
		return c.in.source.at(c.node)
	}
	return from.at(documents[0])
}

// holding is the last node below that has the scalar's value.
func holding(node, value *yaml.Node) *yaml.Node {
	if value == nil || value.Kind != yaml.ScalarNode {
		return nil
	}
	if node.Kind == yaml.ScalarNode && node.Value == value.Value {
		return node
	}
	for _, below := range slices.Backward(node.Content) {
		if found := holding(below, value); found != nil {
			return found
		}
	}
	return nil
}

// generated is the place in a generator that made the field.
func generated(k *kustomization, item *yaml.Node, where []any) Place {
	keys := make([]string, 2, len(where)+2)
	for i, step := range where {
		if key, ok := step.(string); ok && i < len(keys) {
			keys[i] = key
		} else if ok {
			keys = append(keys, key)
		}
	}
	shown := item
	first := func(nodes ...*yaml.Node) {
		for _, node := range nodes {
			if node != nil {
				shown = node
				return
			}
		}
	}
	options := []*yaml.Node{folded(item, "options"), folded(k.root, "generatorOptions")}
	switch {
	case item.Kind != yaml.MappingNode: // A generator of its own file.
	case keys[0] == "data" || keys[0] == "binaryData" || keys[0] == "stringData":
		first(datum(item, keys[1]))
	case keys[0] == "type":
		first(folded(item, "type"))
	case keys[0] == "immutable":
		first(child(options[0], "immutable"), child(options[1], "immutable"))
	case keys[0] != "metadata":
	case keys[1] == "name" || keys[1] == "namespace":
		first(folded(item, keys[1]))
	case len(keys) > 2:
		first(child(child(options[0], keys[1]), keys[2]), child(child(options[1], keys[1]), keys[2]))
	}
	return k.source.at(shown)
}

// datum is the entry of a generator that gives the key its value.
func datum(item *yaml.Node, key string) *yaml.Node {
	list := func(field string) []*yaml.Node {
		if node := folded(item, field); node != nil {
			return node.Content
		}
		return nil
	}
	for _, literal := range slices.Backward(list("literals")) {
		if name, _, _ := strings.Cut(literal.Value, "="); name == key {
			return literal
		}
	}
	for _, file := range slices.Backward(list("files")) {
		name, _, named := strings.Cut(file.Value, "=")
		if !named {
			name = path.Base(file.Value)
		}
		if name == key {
			return file
		}
	}
	if envs := list("envs"); len(envs) == 1 {
		return envs[0]
	}
	return folded(item, "env")
}

// sourceValue is what a replacement reads. When that is not found, any text does: what matters is
// which field it is written to.
func (o *Overlay) sourceValue(selector *yaml.Node) string {
	const unknown = "unknown"
	fieldPath := text(folded(selector, "fieldPath"))
	if fieldPath == "" {
		fieldPath = "metadata.name"
	}
	kind, name := text(folded(selector, "kind")), text(folded(selector, "name"))
	index := slices.IndexFunc(o.rendered, func(each *resource.Resource) bool {
		return (kind == "" || each.GetKind() == kind) && strings.Contains(each.GetName(), name)
	})
	if index < 0 {
		return unknown
	}
	node := o.rendered[index].YNode()
	for key := range strings.SplitSeq(fieldPath, ".") {
		var where any = key
		if number, err := strconv.Atoi(key); err == nil && node.Kind == yaml.SequenceNode {
			where = number
		}
		if _, node = step(node, where); node == nil {
			return unknown
		}
	}
	if node.Kind != yaml.ScalarNode || node.Value == "" {
		return unknown
	}
	return node.Value
}
