package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// maxTrials bounds how many builds diagnose spends on finding the entry that breaks one kustomization.
const maxTrials = 200

// diagnose finds out why the kustomization in dir does not build, given the error that building it
// gave. Kustomize's errors wrap one level of the tree after another and often name neither file nor
// line; diagnose therefore walks down to the innermost kustomization that fails, reads what that
// refers to, and as a last means leaves out one entry after another until the rest builds. It runs
// only after a failure.
func diagnose(ctx context.Context, dir string, cause error) error {
	return (&diagnosis{}).of(ctx, dir, cause)
}

type diagnosis struct {
	stack []string // the directories from the overlay down to the one looked at
}

func (d *diagnosis) of(ctx context.Context, dir string, cause error) error {
	file := kustomizationFile(dir)
	if file == "" {
		return notAnOverlay(dir)
	}
	content, err := newGuardedFS().readSane(file)
	if err == nil {
		err = refuse(file, content)
	}
	if err != nil {
		return asInputError(file, err)
	}
	root, err := parseMapping(file, content)
	if err != nil {
		return err
	}
	d.stack = append(d.stack, filepath.Clean(dir))
	defer func() { d.stack = d.stack[:len(d.stack)-1] }()

	for _, reference := range references(root) {
		if err := d.check(ctx, dir, file, reference); err != nil {
			return err
		}
	}
	message := simplify(cause)
	if match := unknownField.FindStringSubmatch(message); match != nil {
		return &inputError{file, lineOfKey(root, match[1]), message}
	}
	line := culprit(ctx, dir, file, root)
	if match := mistypedField.FindStringSubmatch(message); line == 0 && match != nil {
		line = lineOfKey(root, match[1])
	}
	return &inputError{file, line, message}
}

var mistypedField = regexp.MustCompile(`the field (?:\w+\.)*(\w+) holds `)
var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

// lineOfKey is the line of the first key of that name anywhere below node, 0 when there is none.
func lineOfKey(node *yaml.Node, key string) int {
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 && child.Value == key {
			return child.Line
		}
		if line := lineOfKey(child, key); line > 0 {
			return line
		}
	}
	return 0
}

// A reference is an entry of a kustomization that names a file or a directory.
type reference struct {
	field string
	path  string
	line  int
}

func references(root *yaml.Node) []reference {
	var found []reference
	add := func(field string, node *yaml.Node, prefixed bool) {
		if node == nil {
			return
		}
		path := followed(node).Value
		if _, after, named := strings.Cut(path, "="); named && prefixed {
			path = after
		}
		if path != "" && !strings.Contains(path, "\n") {
			found = append(found, reference{field, path, node.Line})
		}
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		list := followed(root.Content[i+1])
		switch field := root.Content[i].Value; strings.ToLower(field) {
		case "resources", "components", "bases", "crds", "configurations", "generators", "transformers", "validators", "patchesstrategicmerge":
			for _, item := range list.Content {
				add(field, item, false)
			}
		case "openapi":
			add(field, entry(list, "path"), false)
		case "patches", "patchesjson6902", "replacements":
			for _, item := range list.Content {
				add(field, entry(item, "path"), false)
			}
		case "configmapgenerator", "secretgenerator":
			for _, item := range list.Content {
				add(field, entry(item, "env"), false)
				for _, key := range []string{"files", "envs"} {
					if files := entry(item, key); files != nil {
						for _, file := range followed(files).Content {
							add(field, file, true)
						}
					}
				}
			}
		}
	}
	return found
}

// followed is the node itself, or the one that an alias stands for.
func followed(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// entry is value for a kustomization, whose keys Kustomize reads in any case.
func entry(node *yaml.Node, key string) *yaml.Node {
	if node == nil {
		return nil
	}
	node = followed(node)
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if strings.EqualFold(node.Content[i].Value, key) {
			return node.Content[i+1]
		}
	}
	return nil
}

// check looks at what a reference leads to.
func (d *diagnosis) check(ctx context.Context, dir, file string, ref reference) error {
	at := func(format string, args ...any) error {
		return &inputError{file, ref.line, ref.field + ": " + fmt.Sprintf(format, args...)}
	}
	path := filepath.Join(dir, ref.path)
	info, err := os.Stat(path)
	if err != nil {
		return at("%s: %v", ref.path, explainPath(err))
	}
	field := strings.ToLower(ref.field)
	nested := field == "resources" || field == "components" || field == "bases"
	if !info.IsDir() {
		if outside(dir, path) {
			return at("%s lies outside of %s: Kustomize reads files only in or below the directory of their kustomization; move it there, or name a directory that holds a kustomization of its own", ref.path, dir)
		}
		content, err := newGuardedFS().readSane(path)
		if err != nil {
			return asInputError(path, err)
		}
		if nested || field == "patches" {
			return checkDocuments(path, content, nested)
		}
		return nil
	}
	if !nested {
		return at("%s is a directory, not a file", ref.path)
	}
	if kustomizationFile(path) == "" {
		return at("%s is a directory without a kustomization.yaml", ref.path)
	}
	if first := slices.Index(d.stack, path); first >= 0 {
		return at("%s leads back to where it came from: %s", ref.path, strings.Join(append(slices.Clone(d.stack[first:]), path), " -> "))
	}
	if field == "components" {
		return nil // A component builds only within what uses it.
	}
	if _, err := build(ctx, newGuardedFS(), path); err != nil {
		return d.of(ctx, path, err)
	}
	return nil
}

// outside tells whether a file lies, links followed, neither in a directory nor below it.
func outside(dir, file string) bool {
	root, err := absolutePath(dir)
	if err != nil {
		return false
	}
	real, err := absolutePath(file)
	if err != nil {
		return false
	}
	below, err := filepath.Rel(root, real)
	return err == nil && !filepath.IsLocal(below)
}

// checkDocuments finds broken YAML and, in a file of objects, a document that is no object.
func checkDocuments(path string, content []byte, objects bool) error {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return yamlError(path, err)
		}
		if len(document.Content) == 0 || !objects {
			continue
		}
		node := document.Content[0]
		if node.Kind != yaml.MappingNode {
			if node.Tag == yaml.NodeTagNull {
				continue
			}
			return &inputError{path, node.Line, "is no Kubernetes object: a mapping with apiVersion, kind and metadata is expected"}
		}
		kind := value(node, "kind")
		if kind == nil || kind.Value == "" {
			return &inputError{path, node.Line, "is no Kubernetes object: it has no kind"}
		}
		if strings.HasSuffix(kind.Value, "List") {
			continue
		}
		if name := value(value(node, "metadata"), "name"); name == nil || name.Value == "" {
			return &inputError{path, node.Line, kind.Value + " has no metadata.name"}
		}
	}
}

// culprit returns the line of the entry without which the kustomization builds, 0 if there is no
// single one. Resources come last: without an object its patches find nothing to fail on.
func culprit(ctx context.Context, dir, file string, root *yaml.Node) int {
	absolute, err := absolutePath(file)
	if err != nil {
		return 0
	}
	trials := 0
	for _, field := range []string{"patches", "replacements", "configMapGenerator", "secretGenerator", "labels", "images", "generators", "transformers", "validators", "components", "resources"} {
		list := entry(root, field)
		if list == nil || list.Kind != yaml.SequenceNode {
			continue
		}
		all := list.Content
		for i := range all {
			if trials++; trials > maxTrials || ctx.Err() != nil {
				return 0
			}
			list.Content = slices.Concat(all[:i], all[i+1:])
			text, err := yaml.Marshal(root)
			list.Content = all
			if err != nil {
				return 0
			}
			fsys := newGuardedFS()
			fsys.replace[absolute] = text
			if _, err := build(ctx, fsys, dir); err == nil {
				return all[i].Line
			}
		}
	}
	return 0
}

func absolutePath(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(absolute)
}

func parseMapping(file string, content []byte) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &inputError{file, 0, "is empty"}
		}
		return nil, yamlError(file, err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, &inputError{file, 1, "is no kustomization: a mapping is expected"}
	}
	return document.Content[0], nil
}

// value is the value of a key of a mapping, nil when node is none or has no such key.
func value(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func yamlError(file string, err error) error {
	line, text := 0, oneLine(err.Error())
	if match := yamlLine.FindStringSubmatch(text); match != nil {
		line, _ = strconv.Atoi(match[1])
		text = match[2]
	}
	return &inputError{file, line, "broken YAML: " + text}
}

func asInputError(file string, err error) error {
	var input *inputError
	if errors.As(err, &input) {
		return &inputError{relative(input.path), input.line, input.text}
	}
	return &inputError{file, 0, explainPath(err).Error()}
}

var (
	// A build wraps its children's errors; diagnose names the child itself.
	wrapping = regexp.MustCompile(`^(?:accumulating (?:resources|components): )?accumulat\w+ err='(?:(?:merging|accumulating) resources from '[^']*': )?`)
	// What Kustomize says on trying a file as a directory.
	retried = regexp.MustCompile(`'?: must build at directory: .*$`)
	// The configuration of a built-in transformer, which diagnose names by its line.
	transformer = regexp.MustCompile("^trouble configuring builtin \\w+ with config: `[^`]*`: ")
	// What the libraries say of a document that they cannot read.
	malformed = regexp.MustCompile(`^(?:accumulating resources: )?(?:accumulating resources from '[^']*': )?MalformedYAMLError: yaml: (.*) in File: (\S+)$`)
	mistyped  = regexp.MustCompile(`json: cannot unmarshal (\w+) into Go (?:struct field \w+\.(\S+)|value) of type (\S+)`)
	// An object that does not exist, and the generator that would change it, whose address is of no use.
	generator = regexp.MustCompile(`merging from generator &\{[^}]*\}: `)
	resID     = regexp.MustCompile(`resid\.ResId\{Gvk:resid\.Gvk\{[^}]*Kind:"(\w*)"[^}]*\}, Name:"([^"]*)"[^}]*\}`)
	// A verb of Go's that was given nothing.
	badVerb      = regexp.MustCompile(`:? ?%!\w\([^)]*\)`)
	identity     = regexp.MustCompile(`(\w+)\.(?:v\w+|\[noVer\])\.(?:\[noGrp\]|[\w.-]+)/([^\s"':\[]+)\.(?:\[noNs\]|[\w-]+)`)
	absolutePart = regexp.MustCompile(`/[^\s'":,;]+`)
)

// simplify reduces a Kustomize error to its own words, on one line, with objects as Kind/name and
// paths relative to the working directory.
func simplify(err error) string {
	text := oneLine(err.Error())
	text = wrapping.ReplaceAllString(text, "")
	text = retried.ReplaceAllString(text, "")
	text = transformer.ReplaceAllString(text, "")
	text = malformed.ReplaceAllString(text, "$2: broken YAML: $1")
	text = mistyped.ReplaceAllStringFunc(text, func(words string) string {
		match := mistyped.FindStringSubmatch(words)
		return fmt.Sprintf("the field %s holds %s where %s is expected", match[2], kindOf(match[1]), kindOf(match[3]))
	})
	text = strings.ReplaceAll(text, "json: unknown field", "unknown field")
	text = generator.ReplaceAllString(text, "")
	text = resID.ReplaceAllString(text, "$1/$2")
	text = badVerb.ReplaceAllString(text, "")
	text = identity.ReplaceAllString(text, "$1/$2")
	return absolutePart.ReplaceAllStringFunc(text, func(path string) string {
		if !filepath.IsAbs(path) {
			return path
		}
		return relative(path)
	})
}

// kindOf says what JSON or Go call a kind of value.
func kindOf(name string) string {
	switch name = strings.TrimLeft(name, "*"); {
	case name == "array" || strings.HasPrefix(name, "[]"):
		return "a list"
	case name == "string" || name == "bool" || name == "number":
		return "a " + name
	case strings.HasPrefix(name, "int") || strings.HasPrefix(name, "uint"):
		return "an integer"
	}
	return "a mapping"
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
