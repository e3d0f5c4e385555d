// Package change tells which overlays a change can affect, without building them.
package change

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// Tree follows kustomizations and foresees what building them reads. It looks into each only once,
// however many overlays use it. A Tree is of the moment, and not for several goroutines.
//
// What an entry of a kustomization is for does not matter here: whatever can be the name of a file is
// taken for one. A name too many costs next to nothing, since the change must touch a file of that
// name; a name too few would let a change pass unchecked.
type Tree struct {
	known  map[string]*kustomization // by directory, without links
	trails map[string]trail
}

// NewTree returns a Tree that has seen nothing yet.
func NewTree() *Tree {
	return &Tree{known: map[string]*kustomization{}, trails: map[string]trail{}}
}

type kustomization struct {
	paths map[string]bool
	uses  []string // directories of other kustomizations, without links
}

// Reads returns the absolute paths that building the overlay in dir asks for: of files, of the links
// that lead there, and of files that are missing but would be read. Only the last element of a path
// may be a link.
func (t *Tree) Reads(dir string) map[string]bool {
	reads := map[string]bool{}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return reads
	}
	own := &kustomization{paths: reads}
	for _, each := range t.closure(t.follow(own, absolute)) {
		maps.Copy(reads, each.paths)
	}
	return reads
}

// closure is a kustomization and all that it uses.
func (t *Tree) closure(dir string) []*kustomization {
	var found []*kustomization
	seen := map[string]bool{}
	next := []string{dir}
	for len(next) > 0 {
		dir, next = next[0], next[1:]
		if seen[dir] {
			continue
		}
		seen[dir] = true
		used := t.kustomization(dir)
		found = append(found, used)
		next = append(next, used.uses...)
	}
	return found
}

func (t *Tree) kustomization(dir string) *kustomization {
	if known, ok := t.known[dir]; ok {
		return known
	}
	k := &kustomization{paths: map[string]bool{}}
	t.known[dir] = k // Before it is whole: it may lead back to itself.
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		file := t.follow(k, filepath.Join(dir, name))
		for _, document := range documents(file) {
			t.entries(k, dir, document)
			t.plugins(k, dir, document)
		}
	}
	return k
}

// follow notes a path, and returns where it leads.
func (t *Tree) follow(k *kustomization, path string) string {
	trail := t.trail(path)
	for _, passed := range trail.links {
		k.paths[passed] = true
	}
	k.paths[trail.end] = true
	return trail.end
}

// file notes what an entry of a kustomization in dir may be the name of.
func (t *Tree) file(k *kustomization, dir, name string) {
	if name == "" || strings.ContainsAny(name, "\n\x00") {
		return
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	path = t.follow(k, path)
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		k.uses = append(k.uses, path)
	}
	if err != nil {
		for _, file := range konfig.RecognizedKustomizationFileNames() {
			k.paths[filepath.Join(path, file)] = true // It may have been a directory.
		}
	}
}

// noFiles are keys below which nothing names a file. Kustomize reads them in any case.
var noFiles = []string{
	"apiVersion", "kind", "metadata", "name", "namespace", "namePrefix", "nameSuffix", "labels", "commonLabels",
	"commonAnnotations", "images", "imageTags", "replicas", "vars", "buildMetadata", "sortOptions",
	"generatorOptions", "literals", "options", "behavior", "type", "target", "patch", "source", "targets",
}

// entries notes every name of a file in a kustomization, or in the configuration of a plugin. The
// aliases of a file end: overlay.ReadFile has seen to that.
func (t *Tree) entries(k *kustomization, dir string, node *yaml.Node) {
	switch node.Kind {
	case yaml.AliasNode:
		t.entries(k, dir, node.Alias)
	case yaml.ScalarNode:
		t.file(k, dir, node.Value)
		if _, path, named := strings.Cut(node.Value, "="); named {
			t.file(k, dir, path)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i].Value
			if !slices.ContainsFunc(noFiles, func(none string) bool { return strings.EqualFold(none, key) }) {
				t.entries(k, dir, node.Content[i+1])
			}
		}
	default:
		for _, child := range node.Content {
			t.entries(k, dir, child)
		}
	}
}

// plugins follows the configurations of plugins. A file that one names lies beside the kustomization
// that lists it, wherever the configuration itself stands.
func (t *Tree) plugins(k *kustomization, dir string, root *yaml.Node) {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if !slices.Contains([]string{"generators", "transformers", "validators"}, strings.ToLower(root.Content[i].Value)) {
			continue
		}
		for _, text := range scalars(root.Content[i+1]) {
			configurations := parse([]byte(text))
			path := filepath.Join(dir, text)
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				configurations = append(configurations, documents(path)...)
			} else if err == nil {
				for _, used := range t.closure(t.trail(path).end) {
					for file := range used.paths {
						configurations = append(configurations, documents(file)...)
					}
				}
			}
			for _, configuration := range configurations {
				t.entries(k, dir, configuration)
			}
		}
	}
}

func scalars(node *yaml.Node) []string {
	switch node.Kind {
	case yaml.AliasNode:
		return scalars(node.Alias)
	case yaml.ScalarNode:
		return []string{node.Value}
	}
	var found []string
	for _, child := range node.Content {
		found = append(found, scalars(child)...)
	}
	return found
}

// documents are the mappings in a file, as far as it can be read.
func documents(path string) []*yaml.Node {
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return nil
	}
	content, err := overlay.ReadFile(path)
	if err != nil {
		return nil
	}
	return parse(content)
}

func parse(content []byte) []*yaml.Node {
	var found []*yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	for {
		var document yaml.Node
		if decoder.Decode(&document) != nil {
			return found
		}
		if len(document.Content) == 1 && document.Content[0].Kind == yaml.MappingNode {
			found = append(found, document.Content[0])
		}
	}
}

// A trail is where a path leads and which links it passes.
type trail struct {
	end   string
	links []string
}

// trail goes through an absolute path. What does not exist leads to itself.
func (t *Tree) trail(path string) trail {
	if known, ok := t.trails[path]; ok {
		return known
	}
	parent := filepath.Dir(path)
	if parent == path {
		return trail{end: path}
	}
	t.trails[path] = trail{end: path} // A link may lead back to itself.
	above := t.trail(parent)
	found := trail{filepath.Join(above.end, filepath.Base(path)), above.links}
	if info, err := os.Lstat(found.end); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if target, err := os.Readlink(found.end); err == nil {
			if !filepath.IsAbs(target) {
				target = filepath.Join(above.end, target)
			}
			beyond := t.trail(filepath.Clean(target))
			found = trail{beyond.end, slices.Concat(above.links, []string{found.end}, beyond.links)}
		}
	}
	t.trails[path] = found
	return found
}
