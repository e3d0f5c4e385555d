// Package attribute finds where the value of a field of a rendered object was written: the file, line
// and column of the base, patch, component, generator or other entry of a kustomization that set or
// removed it.
//
// It runs only for findings. It lists what may change the object on its way from the file that it
// begins in to the overlay, then builds nothing but that object again, with ever fewer of these
// changes, until the field is no longer what it is: what was left out last has written it. These are
// Kustomize's own builds, so that no rule of Kustomize is written down here a second time; and one of
// a single object costs a small part of the overlay's.
package attribute

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Place is where something is written. Line and Column count from 1 and are 0 when they are not known.
type Place struct {
	File         string
	Line, Column int
}

// ID is what an object is known by in its overlay.
type ID struct{ Kind, Namespace, Name string }

// Tracer keeps what a run has read. It may be used by several goroutines.
type Tracer struct{ files files }

// New returns an empty Tracer.
func New() *Tracer { return &Tracer{files{known: map[string]*file{}}} }

// Overlay returns what traces the objects of the overlay in dir, which has been rendered to these. It
// is for one goroutine.
func (t *Tracer) Overlay(dir string, rendered []*resource.Resource) *Overlay {
	return &Overlay{tracer: t, dir: dir, rendered: rendered, objects: map[ID]*Object{}, kinds: map[string][]leaf{}}
}

// Overlay traces the objects of one overlay.
type Overlay struct {
	tracer   *Tracer
	dir      string
	rendered []*resource.Resource
	objects  map[ID]*Object
	kinds    map[string][]leaf
}

// An Object is traced: how it came about is known as far as that can be found out.
type Object struct {
	overlay *Overlay
	id      ID
	chain   *chain // nil when it is not known where the object begins
	built   map[cut]*yaml.Node
}

// Place is where the field at the path (keys and indexes into the rendered object) was written. Of a
// field that is not there it is what removed it or, when nothing did, its nearest parent. When only the
// file is known in which the object begins, Place has no line; when that is not known, it is empty.
func (o *Overlay) Place(ctx context.Context, id ID, path []any) Place {
	object, known := o.objects[id]
	if !known {
		object = o.find(ctx, id)
		o.objects[id] = object
	}
	return object.place(ctx, path)
}

// find looks for where the object begins: what leads to an object of its name must be it.
func (o *Overlay) find(ctx context.Context, id ID) *Object {
	leaves, known := o.kinds[id.Kind]
	if !known {
		o.tracer.leaves(o.tracer.kustomization(o.dir), id.Kind, nil, func(found leaf) bool {
			leaves = append(leaves, found)
			return true
		})
		o.kinds[id.Kind] = leaves
	}
	var likely *Object
	for _, each := range leaves {
		object := &Object{overlay: o, id: id, chain: o.tracer.chain(each), built: map[cut]*yaml.Node{}}
		if !object.chain.leadsTo(id.Name) {
			continue
		}
		last := object.at(ctx, object.whole())
		if last != nil {
			if metadata := child(last, "metadata"); text(child(last, "kind")) == id.Kind && text(child(metadata, "name")) == id.Name && text(child(metadata, "namespace")) == id.Namespace {
				return object
			}
		}
		if likely == nil || last == nil && likely.at(ctx, likely.whole()) != nil {
			object.built[object.whole()] = nil
			likely = object
		}
	}
	if likely == nil {
		return &Object{overlay: o, id: id}
	}
	return likely
}

// leadsTo tells whether the object bears the name at some time, or a generator's with the hash that
// Kustomize appends.
func (c *chain) leadsTo(name string) bool {
	return c.leaf.field == "generators" || slices.ContainsFunc(c.names, func(each string) bool {
		rest, found := strings.CutPrefix(name, each)
		return found && (rest == "" || rest[0] == '-' && len(rest) == 11)
	})
}

func (o *Object) whole() cut { return cut{len(o.chain.changes), -1} }

// at is the object with only some of the changes, nil when that does not build.
func (o *Object) at(ctx context.Context, upTo cut) *yaml.Node {
	if known, ok := o.built[upTo]; ok {
		return known
	}
	node, err := o.build(ctx, upTo)
	if err != nil {
		node = nil // Then it is not known, which is said by a place without a line.
	}
	o.built[upTo] = node
	return node
}

func (o *Object) place(ctx context.Context, path []any) Place {
	if o.chain == nil {
		return Place{}
	}
	last := o.at(ctx, o.whole())
	if last == nil {
		return Place{File: o.chain.leaf.source.file}
	}
	there := existing(last, path)
	if len(there) < len(path) {
		if place, removed := o.removal(ctx, path, len(there)); removed {
			return place
		}
	}
	return o.origin(ctx, there)
}

// removal looks for the change that removed the field, the first `there` steps to which remain.
func (o *Object) removal(ctx context.Context, path []any, there int) (Place, bool) {
	after := o.at(ctx, o.whole())
	for i := len(o.chain.changes) - 1; i >= 0; i-- {
		change := &o.chain.changes[i]
		if !change.removes() {
			continue
		}
		before := o.at(ctx, cut{i, -1})
		if before == nil {
			continue
		}
		way, all := translate(after, before, path[:there])
		if !all {
			return Place{}, false // The parent was written later, and without the field.
		}
		path = append(way, path[there:]...)
		if lookup(before, path) != nil {
			return o.removedBy(ctx, i, before, path), true
		}
		after = before
	}
	return Place{}, false
}

func (c *change) removes() bool {
	return c.patch != nil || c.field == "transformers" || strings.HasSuffix(c.field, "Generator")
}

// origin looks for the change that wrote the field last.
func (o *Object) origin(ctx context.Context, path []any) Place {
	changes := o.chain.changes
	after := o.at(ctx, o.whole())
	for n := len(changes); n > 0; {
		// Most levels leave a field as it is, which one build shows.
		first := n - 1
		for first > 0 && changes[first-1].level == changes[n-1].level {
			first--
		}
		if before := o.at(ctx, cut{first, -1}); before != nil {
			if way, same := unwritten(before, after, path, changes[first:n]); same {
				after, path, n = before, way, first
				continue
			}
		}
		for ; n > first; n-- {
			before := o.at(ctx, cut{n - 1, -1})
			if before == nil {
				continue
			}
			way, same := unwritten(before, after, path, changes[n-1:n])
			if !same {
				return o.writtenBy(ctx, n-1, after, path)
			}
			after, path = before, way
		}
	}
	return o.begun(after, path)
}

// unwritten tells whether none of the changes has written the field, and where it was before them.
func unwritten(before, after *yaml.Node, path []any, changes []change) ([]any, bool) {
	way, all := translate(after, before, path)
	if !all {
		return nil, false
	}
	old, now := lookup(before, way), lookup(after, path)
	if old.Kind != now.Kind || old.Kind == yaml.ScalarNode && !equal(old, now) {
		return nil, false
	}
	for i := range changes {
		if patch := changes[i].patch; patch != nil && patch.rewrites(after, path, old, now) {
			return nil, false
		}
	}
	return way, true
}

// rewrites tells whether a patch writes a field anew to what it was, or a larger one as a whole.
func (p *patch) rewrites(after *yaml.Node, path []any, old, now *yaml.Node) bool {
	for _, operation := range p.operations {
		if writes(operation, path) && (now.Kind == yaml.ScalarNode || !equal(old, now)) {
			return true
		}
	}
	for _, document := range p.documents {
		way, all := translate(after, document, path)
		if !all {
			continue
		}
		node := lookup(document, way)
		if now.Kind == yaml.ScalarNode && equal(node, now) && len(path) > 0 && !identifies(path) || text(child(node, "$patch")) == "replace" {
			return true
		}
	}
	return false
}

// identifies tells whether the field says which object or item a patch is about.
func identifies(path []any) bool {
	last := path[len(path)-1]
	if len(path) >= 2 {
		if _, item := path[len(path)-2].(int); item {
			key, _ := last.(string)
			return slices.Contains(identifying, key)
		}
	}
	switch {
	case len(path) == 1:
		return last == "apiVersion" || last == "kind"
	case len(path) == 2:
		return path[0] == "metadata" && (last == "name" || last == "namespace")
	}
	return false
}

// begun is the place in what the object begins as.
func (o *Object) begun(after *yaml.Node, path []any) Place {
	from := &o.chain.leaf
	if from.path == "" {
		return generated(from.at, from.node, path)
	}
	way, _ := translate(after, from.node, path)
	return from.source.at(spot(from.node, way))
}

func join(k *kustomization, item *yaml.Node) string { return filepath.Join(k.dir, text(item)) }
