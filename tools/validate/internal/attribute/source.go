package attribute

import (
	"bytes"
	"regexp"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// A source is YAML with the place where it stands: a file, or a text within one.
type source struct {
	file string // absolute
	text string
	// inline is the scalar that holds the text, nil when the text is a whole file.
	inline *yaml.Node
	// indent is how far to the right the text of a literal block stands.
	indent int
}

// at is the place of one of the source's nodes.
func (s *source) at(node *yaml.Node) Place {
	place := Place{File: overlay.Relative(s.file), Line: node.Line, Column: node.Column}
	switch {
	case s.inline == nil:
	case s.inline.Style&yaml.LiteralStyle != 0:
		place.Line += s.inline.Line
		place.Column += s.indent
	default:
		place.Line, place.Column = s.inline.Line, s.inline.Column
	}
	return place
}

// within is the source that a scalar of this one holds.
func (s *source) within(scalar *yaml.Node) *source {
	inner := &source{file: s.file, text: scalar.Value, inline: scalar}
	lines := strings.Split(s.text, "\n")
	for i, line := range strings.Split(scalar.Value, "\n") {
		if strings.TrimSpace(line) == "" || scalar.Line+i >= len(lines) {
			continue
		}
		inner.indent = max(0, leading(lines[scalar.Line+i])-leading(line))
		break
	}
	return inner
}

func leading(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

var named = regexp.MustCompile(`\bname["']?\s*:\s*(["'\w.-]*)`)

// mayHold tells from the text, without parsing it, whether an object of the kind may be in it that has
// a part of the name, to which Kustomize adds.
func (s *source) mayHold(id ID) bool {
	if !strings.Contains(s.text, id.Kind) {
		return false
	}
	for _, match := range named.FindAllStringSubmatch(s.text, -1) {
		if strings.Contains(id.Name, strings.Trim(match[1], `"'`)) { // Also when it is written otherwise.
			return true
		}
	}
	return false
}

// documents parses the text as far as it goes. Aliases are replaced by what they stand for.
func (s *source) documents() []*yaml.Node {
	var found []*yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(s.text))
	for {
		var document yaml.Node
		if decoder.Decode(&document) != nil {
			return found
		}
		if len(document.Content) == 1 {
			found = append(found, expanded(document.Content[0]))
		}
	}
}

// expanded is a copy without aliases and anchors. What it may grow to, overlay.ReadFile has checked.
func expanded(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return expanded(node.Alias)
	}
	twin := *node
	twin.Anchor, twin.Content = "", nil
	for _, child := range node.Content {
		twin.Content = append(twin.Content, expanded(child))
	}
	return &twin
}

// A manifest is one object of a file.
type manifest struct {
	source                *source
	node                  *yaml.Node
	kind, namespace, name string
}

func newManifest(from *source, node *yaml.Node) manifest {
	metadata := child(node, "metadata")
	return manifest{from, node, text(child(node, "kind")), text(child(metadata, "namespace")), text(child(metadata, "name"))}
}

// manifests are the objects of a source, those of lists among them.
func manifests(from *source) []manifest {
	var found []manifest
	for _, document := range from.documents() {
		items := child(document, "items")
		if items == nil || !strings.HasSuffix(text(child(document, "kind")), "List") {
			found = append(found, newManifest(from, document))
			continue
		}
		for _, item := range items.Content {
			found = append(found, newManifest(from, item))
		}
	}
	return found
}

// files reads each file of the tree once in a run.
type files struct {
	mutex sync.Mutex
	known map[string]*file
}

type file struct {
	source    *source
	manifests func() []manifest
	root      func() *yaml.Node
}

// read is the file at a path, nil when it cannot be read.
func (f *files) read(path string) *file {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if known, ok := f.known[path]; ok {
		return known
	}
	content, err := overlay.ReadFile(path)
	if err != nil {
		f.known[path] = nil
		return nil
	}
	content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
	from := &source{file: path, text: string(content)}
	read := &file{source: from}
	read.manifests = sync.OnceValue(func() []manifest { return manifests(from) })
	read.root = sync.OnceValue(func() *yaml.Node {
		if documents := from.documents(); len(documents) > 0 {
			return documents[0]
		}
		return nil
	})
	f.known[path] = read
	return read
}
