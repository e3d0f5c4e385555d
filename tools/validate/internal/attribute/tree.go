package attribute

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// maxDepth bounds how deep kustomizations may nest, so that a cycle ends.
const maxDepth = 50

// A kustomization is one file of the tree.
type kustomization struct {
	dir    string // absolute, without links
	path   string // of the file
	source *source
	root   *yaml.Node
}

func (t *Tracer) kustomization(dir string) *kustomization {
	path, err := overlay.Absolute(overlay.KustomizationFile(dir))
	if err != nil {
		return nil
	}
	if dir, err = overlay.Absolute(dir); err != nil {
		return nil
	}
	read := t.files.read(path)
	if read == nil || read.root() == nil || read.root().Kind != yaml.MappingNode {
		return nil
	}
	return &kustomization{dir, path, read.source, read.root()}
}

// items are the entries of a list.
func (k *kustomization) items(field string) []*yaml.Node {
	if list := folded(k.root, field); list != nil && list.Kind == yaml.SequenceNode {
		return list.Content
	}
	return nil
}

// file is the file that an entry of the kustomization names, nil when it names none.
func (t *Tracer) file(k *kustomization, name string) *file {
	if name == "" || strings.Contains(name, "\n") {
		return nil
	}
	return t.files.read(filepath.Join(k.dir, name))
}

// A hop is an entry of `resources` or `components` that leads to another kustomization.
type hop struct {
	from  *kustomization
	field string
	index int
}

// A leaf is what an object begins as: an object of a file, or a generator.
type leaf struct {
	route []hop // from the overlay's kustomization down to the one that has the leaf
	at    *kustomization
	field string // the list in `at` that holds the leaf's entry
	index int
	path  string // of the file; empty when a generator makes the object
	manifest
}

var resourceFields = []string{"resources", "bases"}

// leaves calls visit for what below a kustomization is of the object's kind and, if wanted, may be of
// its name, until that returns false.
func (t *Tracer) leaves(k *kustomization, id ID, byName bool, route []hop, visit func(leaf) bool) bool {
	if k == nil || len(route) > maxDepth {
		return true
	}
	for _, field := range slices.Concat(resourceFields, []string{"components"}) {
		for i, item := range k.items(field) {
			path := join(k, item)
			if info, err := os.Stat(path); err != nil || text(item) == "" {
				continue
			} else if info.IsDir() {
				if !t.leaves(t.kustomization(path), id, byName, append(route[:len(route):len(route)], hop{k, field, i}), visit) {
					return false
				}
				continue
			}
			read := t.files.read(path)
			if read == nil || byName && !read.source.mayHold(id) {
				continue
			}
			for _, found := range read.manifests() {
				if found.kind == id.Kind && !visit(leaf{route, k, field, i, path, found}) {
					return false
				}
			}
		}
	}
	for _, generator := range generatorFields {
		for i, item := range k.items(generator.field) {
			behavior := strings.ToLower(text(folded(item, "behavior")))
			if id.Kind != generator.kind || behavior == "merge" || behavior == "replace" {
				continue
			}
			made := manifest{k.source, item, id.Kind, text(folded(item, "namespace")), text(folded(item, "name"))}
			if !visit(leaf{route, k, generator.field, i, "", made}) {
				return false
			}
		}
	}
	for i, item := range k.items("generators") {
		if !visit(leaf{route, k, "generators", i, "", manifest{source: k.source, node: item, kind: id.Kind}}) {
			return false
		}
	}
	return true
}

var generatorFields = []struct{ field, kind string }{{"configMapGenerator", "ConfigMap"}, {"secretGenerator", "Secret"}}

// A change is one entry of a kustomization that may change the object.
type change struct {
	in    *kustomization
	field string
	index int // in the list, -1 when the field is no list
	node  *yaml.Node
	level int // counts the kustomizations from the leaf upwards; a component is of its user's level
	// patch is what a patch says, with one item a document or an operation.
	patch *patch
	// replacement is one of possibly several that the entry brings from a file.
	replacement *yaml.Node
	// where holds the entry's own text, when it is not the kustomization.
	where *source
}

// A patch is a strategic merge or a list of operations.
type patch struct {
	source     *source
	documents  []*yaml.Node // of the strategic merge, those that are about the object
	whole      bool         // whether these are all that there are
	operations []*yaml.Node // of a JSON patch
}

// chain lists all that may change a leaf's object, in the order in which Kustomize applies it, and
// every name that the object bears on the way.
func (t *Tracer) chain(from leaf) *chain {
	c := &chain{tracer: t, leaf: from, names: []string{from.name}, users: make([]*kustomization, 1)}
	route := append(from.route[:len(from.route):len(from.route)], hop{from.at, from.field, from.index})
	for i := len(route) - 1; i >= 0; i-- {
		at := route[i]
		first := 0
		if at.field == "components" {
			first = at.index + 1
		}
		inComponent := i > 0 && route[i-1].field == "components"
		c.generators(at.from)
		c.components(at.from, first, 0)
		c.transformers(at.from)
		c.users[len(c.users)-1] = at.from
		if i > 0 && !inComponent {
			c.users = append(c.users, nil)
		}
	}
	return c
}

type chain struct {
	tracer  *Tracer
	leaf    leaf
	names   []string
	changes []change
	used    []*kustomization // components
	users   []*kustomization // by level
}

func (c *chain) add(in *kustomization, field string, index int, node *yaml.Node) *change {
	c.changes = append(c.changes, change{in: in, field: field, index: index, node: node, level: len(c.users) - 1})
	return &c.changes[len(c.changes)-1]
}

func (c *chain) generators(k *kustomization) {
	for _, generator := range generatorFields {
		for i, item := range k.items(generator.field) {
			behavior := strings.ToLower(text(folded(item, "behavior")))
			if c.leaf.kind == generator.kind && (behavior == "merge" || behavior == "replace") && slices.Contains(c.names, text(folded(item, "name"))) {
				c.add(k, generator.field, i, item)
			}
		}
	}
}

func (c *chain) components(k *kustomization, first, depth int) {
	if depth > maxDepth {
		return
	}
	for i, item := range k.items("components") {
		if i < first {
			continue
		}
		component := c.tracer.kustomization(filepath.Join(k.dir, text(item)))
		if component == nil {
			continue
		}
		c.used = append(c.used, component)
		c.generators(component)
		c.components(component, 0, depth+1)
		c.transformers(component)
	}
}

func (c *chain) transformers(k *kustomization) {
	lists := func(fields ...string) {
		for _, field := range fields {
			for i, item := range k.items(field) {
				c.add(k, field, i, item)
			}
		}
	}
	single := func(field string) *yaml.Node {
		node := folded(k.root, field)
		if node != nil {
			c.add(k, field, -1, node)
		}
		return node
	}
	c.patches(k, "patchesStrategicMerge", "patches")
	single("namespace")
	for _, field := range []string{"namePrefix", "nameSuffix"} {
		affix := text(single(field))
		if affix == "" {
			continue
		}
		name := c.names[len(c.names)-1]
		if field == "namePrefix" {
			name = affix + name
		} else {
			name += affix
		}
		c.names = append(c.names, name)
	}
	lists("labels")
	single("commonLabels")
	single("commonAnnotations")
	c.patches(k, "patchesJson6902")
	lists("replicas", "images")
	c.replacements(k)
	lists("transformers")
	single("buildMetadata")
}

func (c *chain) patches(k *kustomization, fields ...string) {
	for _, field := range fields {
		for i, item := range k.items(field) {
			if read := c.patch(k, item); read != nil {
				c.add(k, field, i, item).patch = read
			}
		}
	}
}

// patch reads an entry of a list of patches, nil when it is not about the object.
func (c *chain) patch(k *kustomization, item *yaml.Node) *patch {
	target := folded(item, "target")
	if target != nil && !c.matches(target) {
		return nil
	}
	from := k.source
	name := item
	if item.Kind == yaml.MappingNode {
		name = folded(item, "path")
		if inline := folded(item, "patch"); inline != nil {
			from, name = k.source.within(inline), nil
		}
	} else if strings.Contains(item.Value, "\n") || strings.HasPrefix(item.Value, "{") {
		from, name = k.source.within(item), nil
	}
	if name != nil {
		read := c.tracer.file(k, text(name))
		if read == nil {
			return nil
		}
		from = read.source
	}
	read := &patch{source: from, whole: true}
	for _, document := range from.documents() {
		switch {
		case document.Kind == yaml.SequenceNode:
			read.operations = append(read.operations, document.Content...)
		case document.Kind != yaml.MappingNode:
		case target != nil || c.named(newManifest(from, document)):
			read.documents = append(read.documents, document)
		default:
			read.whole = false
		}
	}
	if len(read.documents) == 0 && len(read.operations) == 0 {
		return nil
	}
	return read
}

func (c *chain) named(of manifest) bool {
	return of.kind == c.leaf.kind && slices.Contains(c.names, of.name) || c.leaf.field == "generators"
}

// matches tells whether a patch's target may be the object; Kustomize decides in the end.
func (c *chain) matches(target *yaml.Node) bool {
	matches := func(pattern string, values ...string) bool {
		if pattern == "" {
			return true
		}
		expression, err := regexp.Compile("^(?:" + pattern + ")$")
		return err != nil || slices.ContainsFunc(values, expression.MatchString)
	}
	return c.leaf.field == "generators" || matches(text(folded(target, "kind")), c.leaf.kind) && matches(text(folded(target, "name")), c.names...)
}

func (c *chain) replacements(k *kustomization) {
	for i, item := range k.items("replacements") {
		found, from := []*yaml.Node{item}, k.source
		if name := folded(item, "path"); name != nil {
			read := c.tracer.file(k, text(name))
			if read == nil || read.root() == nil {
				continue
			}
			found, from = []*yaml.Node{read.root()}, read.source
			if read.root().Kind == yaml.SequenceNode {
				found = read.root().Content
			}
		}
		for _, replacement := range found {
			targets := folded(replacement, "targets")
			if targets == nil || !slices.ContainsFunc(targets.Content, func(target *yaml.Node) bool {
				kind := text(folded(folded(target, "select"), "kind"))
				return kind == "" || kind == c.leaf.kind || c.leaf.field == "generators"
			}) {
				continue
			}
			added := c.add(k, "replacements", i, item)
			added.replacement, added.where = replacement, from
		}
	}
}
