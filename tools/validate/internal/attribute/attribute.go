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
	"sort"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
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
	return &Overlay{tracer: t, dir: dir, rendered: rendered, objects: map[ID]*Object{}}
}

// Overlay traces the objects of one overlay.
type Overlay struct {
	tracer   *Tracer
	dir      string
	rendered []*resource.Resource
	objects  map[ID]*Object
}

// An Object is traced: how it came about is known as far as that can be found out.
type Object struct {
	overlay *Overlay
	id      ID
	last    *yaml.Node // the rendered object
	chain   *chain     // nil when it is not known where the object begins
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
	candidates := o.candidates(id, true)
	if len(candidates) == 1 && candidates[0].chain.leaf.field != "generators" {
		return candidates[0]
	}
	renamed := len(candidates) == 0
	if renamed {
		candidates = o.candidates(id, false)
	}
	for _, each := range candidates[:min(len(candidates), maxTrials)] {
		if last := each.at(ctx, each.whole()); last != nil && identify(last) == id {
			return each
		}
	}
	if renamed || len(candidates) == 0 {
		return &Object{overlay: o, id: id}
	}
	return candidates[0]
}

// maxTrials bounds how many objects are built to see which is the one.
const maxTrials = 20

// candidates are the objects that may have become the one, by their kind and, if wanted, their names.
func (o *Overlay) candidates(id ID, byName bool) []*Object {
	index := slices.IndexFunc(o.rendered, func(each *resource.Resource) bool { return identify(each.YNode()) == id })
	if index < 0 {
		return nil
	}
	var found []*Object
	o.tracer.leaves(o.tracer.kustomization(o.dir), id, byName, nil, func(each leaf) bool {
		object := &Object{overlay: o, id: id, last: o.rendered[index].YNode(), chain: o.tracer.chain(each), built: map[cut]*yaml.Node{}}
		if !byName || object.chain.leadsTo(id.Name) {
			found = append(found, object)
		}
		return true
	})
	return found
}

func identify(object *yaml.Node) ID {
	metadata := child(object, "metadata")
	return ID{text(child(object, "kind")), text(child(metadata, "namespace")), text(child(metadata, "name"))}
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
	var node *yaml.Node
	if upTo.changes == 0 && o.chain.leaf.path != "" {
		node = o.chain.leaf.node
	} else if built, err := o.build(ctx, upTo); err == nil {
		node = built
	} // Else it is not known, which is said by a place without a line.
	o.built[upTo] = node
	return node
}

func (o *Object) place(ctx context.Context, path []any) Place {
	if o.chain == nil {
		return Place{}
	}
	there := existing(o.last, path)
	if len(there) < len(path) {
		if place, removed := o.removal(ctx, path, len(there)); removed {
			return place
		}
	}
	if place, found := o.origin(ctx, there); found {
		return place
	}
	return Place{File: overlay.Relative(o.chain.leaf.source.file)}
}

// removal looks for the change that removed the field, the first `there` steps to which remain.
func (o *Object) removal(ctx context.Context, path []any, there int) (Place, bool) {
	changes := o.chain.changes
	// before is where the field was before a change, nil when it was not there.
	before := func(change int) (*yaml.Node, []any) {
		object := o.at(ctx, cut{change, -1})
		if object == nil {
			return nil, nil
		}
		way, all := translate(o.last, object, path[:there])
		way = append(way, path[there:]...)
		if !all || lookup(object, way) == nil {
			return nil, nil
		}
		return object, way
	}
	if !slices.ContainsFunc(changes, change.removes) {
		return Place{}, false
	}
	if object, _ := before(0); object == nil && !slices.ContainsFunc(changes, func(c change) bool { return c.adds(o.last, path) }) {
		return Place{}, false
	}
	for i := len(changes) - 1; i >= 0; i-- {
		if !changes[i].removes() {
			continue
		}
		if object, way := before(i); object != nil {
			return o.removedBy(ctx, i, object, way), true
		}
	}
	return Place{}, false
}

// adds tells whether the change may add a field that is not in the object after all changes.
func (c *change) adds(last *yaml.Node, path []any) bool {
	if c.patch == nil {
		return c.removes()
	}
	return slices.ContainsFunc(c.patch.operations, func(operation *yaml.Node) bool { return writes(operation, path) }) ||
		slices.ContainsFunc(c.patch.documents, func(document *yaml.Node) bool {
			way, _ := translate(last, document, path)
			rest := path[len(way):]
			return lookup(lookup(document, way), rest) != nil
		})
}

func (c change) removes() bool {
	return c.patch != nil || c.field == "transformers" || strings.HasSuffix(c.field, "Generator")
}

// origin looks for the change that wrote the field last; false when a part of the tree does not build.
func (o *Object) origin(ctx context.Context, path []any) (Place, bool) {
	if place, found := o.originOf(ctx, o.last, path); found {
		return place, true
	}
	// The part of the tree lacks what the object refers to, so a name may be another in it.
	last := o.at(ctx, o.whole())
	if last == nil {
		return Place{}, false
	}
	return o.originOf(ctx, last, existing(last, path))
}

// originOf is origin for an object that is what all changes have made of it.
func (o *Object) originOf(ctx context.Context, last *yaml.Node, path []any) (Place, bool) {
	changes := o.chain.changes
	// since says whether none but the first changes have written the field, and where it is after these.
	since := func(first int) (object *yaml.Node, way []any, same bool) {
		if object = o.at(ctx, cut{first, -1}); object == nil {
			return nil, nil, false
		}
		way, same = unwritten(object, last, path, changes[first:])
		return object, way, same
	}
	if object, way, same := since(0); same {
		return o.begun(object, way), true
	}
	// Before this change the field was another; after it, it is what it is in the end.
	index := o.likely(last, path)
	if index >= 0 && index == len(changes)-1 {
		if _, _, same := since(index); !same && o.at(ctx, cut{index, -1}) != nil {
			return o.writtenBy(ctx, index, last, path), true
		}
	}
	isLast := func(index int) bool {
		if _, _, same := since(index); same || o.at(ctx, cut{index, -1}) == nil {
			return false
		}
		_, _, same := since(index + 1)
		return same
	}
	if index < 0 || !isLast(index) {
		index = sort.Search(len(changes), func(index int) bool {
			_, _, same := since(index + 1)
			return same
		})
		if index == len(changes) || !isLast(index) {
			return Place{}, false
		}
	}
	object, way, _ := since(index + 1)
	return o.writtenBy(ctx, index, object, way), true
}

// likely is the last change that looks as if it wrote the field, -1 when none does. To try that first
// saves builds.
func (o *Object) likely(last *yaml.Node, path []any) int {
	if len(path) == 0 {
		return -1
	}
	now := lookup(last, path)
	key, _ := path[len(path)-1].(string)
	for i, each := range slices.Backward(o.chain.changes) {
		looks := false
		switch strings.ToLower(each.field) {
		case "images":
			looks = key == "image" && strings.Contains(text(now), text(folded(each.node, "name")))
		case "replicas", "namespace":
			looks = key == each.field
		case "nameprefix", "namesuffix":
			looks = key == "name" && len(path) == 2
		case "labels":
			looks = child(folded(each.node, "pairs"), key) != nil
		case "commonlabels", "commonannotations":
			looks = child(each.node, key) != nil
		case "configmapgenerator", "secretgenerator":
			looks = datum(each.node, key) != nil
		case "replacements":
			looks = target(each.replacement, key) != each.replacement
		default:
			looks = each.patch != nil && each.patch.rewrites(last, path, nil, now)
		}
		if looks {
			return i
		}
	}
	return -1
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
		if writes(operation, path) && !inserts(operation, path) && (now.Kind == yaml.ScalarNode || !equal(old, now)) {
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
