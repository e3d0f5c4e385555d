package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// maxFileBytes bounds a file of the tree: a ConfigMap holds at most 1 MiB, so what is larger than
// this is no manifest.
const maxFileBytes = 4 << 20

// guardedFS is the disk as Kustomize may see it: files of a sane size, no aliases without end, and no
// kustomization that names something remote. The last is for a good message; what keeps a process
// from the network is package offline.
type guardedFS struct {
	filesys.FileSystem
	// replace holds contents that stand in for files, by absolute path.
	replace map[string][]byte
	// alone says that no other build runs: only then may one bring an OpenAPI schema.
	alone bool
	// schema is set when the build brings one, or would.
	schema atomic.Bool
	// read holds every path that was asked for.
	read map[string]bool
}

// mayHaveSchema finds the field openapi, however its name is written; to find too much only costs time.
var mayHaveSchema = regexp.MustCompile(`(?i)openapi|"[^"\n]*\\[xu\n]`)

func newGuardedFS() *guardedFS {
	return &guardedFS{FileSystem: filesys.MakeFsOnDisk(), replace: map[string][]byte{}, read: map[string]bool{}}
}

// ReadFile implements filesys.FileSystem.
func (g *guardedFS) ReadFile(path string) ([]byte, error) {
	g.read[path] = true
	content, replaced := g.replace[path]
	if !replaced {
		var err error
		if content, err = g.readSane(path); err != nil {
			return nil, err
		}
	}
	if slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path)) {
		if !replaced {
			if err := refuse(path, content); err != nil {
				return nil, err
			}
		}
		if mayHaveSchema.Match(content) {
			g.schema.Store(true)
			if !g.alone {
				return nil, ErrAlone
			}
		}
	}
	return content, nil
}

// readSane reads a file of sane size without aliases that do not end.
func (g *guardedFS) readSane(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() && !info.Mode().IsRegular() {
			return nil, &inputError{path, 0, "is not a regular file"}
		}
		if info.Size() > maxFileBytes {
			return nil, &inputError{path, 0, fmt.Sprintf("has %d bytes; no manifest or configuration file may have more than %d", info.Size(), maxFileBytes)}
		}
	}
	content, err := g.FileSystem.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := refuseAliases(path, content); err != nil {
		return nil, err
	}
	return content, nil
}

// inputError is a defect of one file of the tree.
type inputError struct {
	path string
	line int // counted from 1; 0 when the defect is the file as a whole
	text string
}

func (e *inputError) Error() string {
	if e.line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.path, e.line, e.text)
	}
	return fmt.Sprintf("%s: %s", e.path, e.text)
}

// refuse reports what of a kustomization Kustomize would fetch, clone or leave out in silence.
func refuse(path string, content []byte) error {
	root, err := parseMapping(path, content)
	if err != nil {
		return nil // Kustomize reports broken YAML itself.
	}
	if err := refuseRemote(path, root); err != nil {
		return err
	}
	if first, again := twice(root, strings.ToLower); again != nil {
		return &inputError{path, again.Line, fmt.Sprintf("%s stands twice, first in line %d, of which Kustomize takes the last; make one of them", again.Value, first.Line)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, another yaml.Node
	if decoder.Decode(&document) == nil && decoder.Decode(&another) == nil && len(another.Content) > 0 {
		return &inputError{path, another.Content[0].Line, "a second document, which Kustomize leaves out; a kustomization is one"}
	}
	return nil
}

// twice finds a key that stands twice in a mapping or in one below it. normal makes of a mapping's keys
// what is compared: Kustomize reads the names of its own fields in any case.
func twice(node *yaml.Node, normal func(key string) string) (first, again *yaml.Node) {
	if node.Kind == yaml.MappingNode {
		seen := map[string]*yaml.Node{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			name := normal(key.Value)
			if seen[name] != nil && key.Kind == yaml.ScalarNode {
				return seen[name], key
			}
			seen[name] = key
		}
	}
	for _, child := range node.Content {
		if first, again := twice(child, strings.Clone); again != nil {
			return first, again
		}
	}
	return nil, nil
}

// refuseRemote reports the first entry of a kustomization that Kustomize would fetch or clone.
func refuseRemote(path string, root *yaml.Node) error {
	for _, reference := range references(root) {
		if isRemote(filepath.Dir(path), reference.path) {
			return &inputError{path, reference.line, fmt.Sprintf(
				"%s: %q is remote; rendering is offline: install it as a prerequisite at a pinned version, or keep it in the tree",
				reference.field, reference.path)}
		}
	}
	return nil
}

const (
	// maxNodes bounds what a file's aliases may expand to.
	maxNodes = 1_000_000
	// maxInline bounds how often YAML may stand within a text of YAML, as an inline patch does.
	maxInline = 8
)

// refuseAliases reports aliases that Kustomize would follow for ever, or into more than memory holds,
// in a file and in the texts that it holds: inline patches and configurations are YAML too.
func refuseAliases(path string, content []byte) error {
	budget := maxNodes
	line, err := checkAliases(string(content), 0, &budget)
	if err != nil {
		return &inputError{path, line, err.Error()}
	}
	return nil
}

// checkAliases returns, with an error, the line of the text within the text that it is about.
func checkAliases(text string, level int, budget *int) (int, error) {
	if !strings.Contains(text, "&") || !strings.Contains(text, "*") {
		return 0, nil
	}
	if level > maxInline {
		return 0, fmt.Errorf("YAML stands within YAML more than %d times", maxInline)
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); err != nil {
			return 0, nil // The end, no YAML at all, or broken YAML, which Kustomize reports itself.
		}
		size := expandedSize(&document, map[*yaml.Node]int{})
		if size < 0 {
			return 0, errors.New("an alias leads back to its own anchor")
		}
		if *budget -= size; *budget < 0 {
			return 0, fmt.Errorf("its aliases expand to more than %d nodes", maxNodes)
		}
		for _, scalar := range scalars(&document, nil) {
			if scalar.Value == text {
				continue
			}
			if _, err := checkAliases(scalar.Value, level+1, budget); err != nil {
				return scalar.Line, err
			}
		}
	}
}

func scalars(node *yaml.Node, found []*yaml.Node) []*yaml.Node {
	if node.Kind == yaml.ScalarNode {
		return append(found, node)
	}
	for _, child := range node.Content {
		found = scalars(child, found)
	}
	return found
}

// expandedSize counts the nodes below node with aliases followed, no further than maxNodes; -1 means
// that an alias leads back to its own anchor.
func expandedSize(node *yaml.Node, sizes map[*yaml.Node]int) int {
	if node.Kind == yaml.AliasNode {
		return expandedSize(node.Alias, sizes)
	}
	if size, seen := sizes[node]; seen {
		return size
	}
	sizes[node] = -1 // It is being counted: to come here again is a cycle.
	size := 1
	for _, child := range node.Content {
		below := expandedSize(child, sizes)
		if below < 0 {
			return -1
		}
		size = min(size+below, maxNodes+1)
	}
	sizes[node] = size
	return size
}

// A path that Kustomize takes for a URL or for a repository that is reached by SSH, even where a file
// of that name exists.
var remote = regexp.MustCompile(`(?i)^https?:|://|::|^[^/]+@[^/]*:|^git@`)

// isRemote follows Kustomize: a URL; else what exists as a path is local; else a path whose first
// element looks like a host.
func isRemote(dir, entry string) bool {
	if strings.Contains(entry, "\n") || filepath.IsAbs(entry) {
		return false
	}
	if remote.MatchString(entry) {
		return true
	}
	if _, err := os.Lstat(filepath.Join(dir, entry)); err == nil {
		return false
	}
	first, rest, nested := strings.Cut(entry, "/")
	return nested && rest != "" && strings.Trim(first, ".") != "" && strings.Contains(first, ".")
}
