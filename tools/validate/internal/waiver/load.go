package waiver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/field"
	"github.com/ft-services/ft-services/tools/validate/internal/names"
	"github.com/ft-services/ft-services/tools/validate/internal/regular"
)

// Load reads a file of waivers, as a YAML mapping with the one key `waivers`; now decides which have
// expired. A file that does not exist is an empty list only if it is optional. Every mistake in it is
// an error that names file, line and mend, and the first maxMistakes are told at once.
func Load(file string, optional bool, policies []string, now time.Time) (*List, error) {
	text, err := regular.Read(file)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return &List{}, nil
	}
	if err != nil {
		var problem *fs.PathError
		if errors.As(err, &problem) {
			err = fmt.Errorf("%s: %w", problem.Path, problem.Err)
		}
		return nil, fmt.Errorf("reading waivers: %w", err)
	}
	l := loader{file: file, policies: policies}
	waivers := l.read(text)
	if more := len(l.mistakes) - maxMistakes; more > 0 {
		l.mistakes = append(l.mistakes[:maxMistakes], fmt.Errorf("reading waivers: %s: %d mistakes more", file, more))
	}
	if len(l.mistakes) > 0 {
		return nil, errors.Join(l.mistakes...)
	}
	return &List{File: file, waivers: waivers, met: map[int]bool{}, now: now}, nil
}

// maxMistakes is how many mistakes anybody reads at once.
const maxMistakes = 10

type loader struct {
	file     string
	policies []string
	mistakes []error
}

// mistake notes what is wrong in a line; 0 is the file as a whole.
func (l *loader) mistake(line int, format string, args ...any) {
	where := l.file
	if line > 0 {
		where = fmt.Sprintf("%s:%d", l.file, line)
	}
	l.mistakes = append(l.mistakes, fmt.Errorf("reading waivers: %s: %w", where, fmt.Errorf(format, args...)))
}

const shape = "write a mapping with the key waivers, which holds a list"

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

func (l *loader) read(text []byte) []Waiver {
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var document, another yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		l.mistake(0, "is empty; %s", shape)
		return nil
	case err != nil:
		l.broken(err)
		return nil
	}
	if err := decoder.Decode(&another); err == nil {
		l.mistake(another.Line, "a second document; keep all waivers in one list")
	} else if !errors.Is(err, io.EOF) {
		l.broken(err)
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		l.mistake(root.Line, "the file holds %s; %s", kindOf(root), shape)
		return nil
	}
	fields := l.fields(root, []string{"waivers"})
	list := fields["waivers"]
	switch {
	case list == nil:
		if len(l.mistakes) == 0 {
			l.mistake(root.Line, "waivers is missing; %s", shape)
		}
		return nil
	case list.Tag == "!!null":
		return nil
	case list.Kind != yaml.SequenceNode:
		l.mistake(list.Line, "waivers holds %s; write a list", kindOf(list))
		return nil
	}
	var waivers []Waiver
	for _, entry := range list.Content {
		if entry.Kind != yaml.MappingNode {
			l.mistake(entry.Line, "a waiver is %s; write a mapping with %s", kindOf(entry), strings.Join(mandatory, ", "))
			continue
		}
		waivers = append(waivers, l.waiver(entry))
	}
	return waivers
}

func (l *loader) broken(err error) {
	line, message := 0, err.Error()
	if parts := yamlLine.FindStringSubmatch(message); parts != nil {
		message = parts[2]
		_, _ = fmt.Sscan(parts[1], &line) // Without a line it stays 0.
	}
	l.mistake(line, "broken YAML: %s", message)
}

var (
	mandatory = []string{"policy", "object", "reason", "owner", "expires"}
	known     = append([]string{"overlay", "path", "container"}, mandatory...)
)

// fields returns the values of a mapping by their keys, and notes keys that are unknown or stand twice.
func (l *loader) fields(node *yaml.Node, known []string) map[string]*yaml.Node {
	fields := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		switch first, twice := fields[key.Value]; {
		case !slices.Contains(known, key.Value):
			l.mistake(key.Line, "unknown field %q%s", key.Value, meant(key.Value, known))
		case twice:
			l.mistake(key.Line, "%s stands twice, first in line %d; keep one of them", key.Value, first.Line)
		default:
			fields[key.Value] = node.Content[i+1]
		}
	}
	return fields
}

func meant(key string, known []string) string {
	if near := names.Near(key, known); len(near) > 0 {
		return "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return "; known: " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

func (l *loader) waiver(node *yaml.Node) Waiver {
	fields := l.fields(node, known)
	values := map[string]string{}
	for _, name := range known {
		value := fields[name]
		switch {
		case value == nil:
		case value.Kind != yaml.ScalarNode || value.Tag == "!!null":
			l.mistake(value.Line, "%s holds %s; write a text", name, kindOf(value))
			continue
		case strings.TrimSpace(value.Value) == "":
			l.mistake(value.Line, "%s is empty; %s", name, mends[name])
			continue
		default:
			values[name] = value.Value
			continue
		}
		if slices.Contains(mandatory, name) {
			l.mistake(node.Line, "%s is missing; %s", name, mends[name])
		}
	}
	w := Waiver{
		Policy: values["policy"], Object: values["object"], Overlay: values["overlay"], Container: values["container"],
		Reason: values["reason"], Owner: values["owner"], Expires: values["expires"], Line: node.Line,
	}
	if w.Policy != "" && !slices.Contains(l.policies, w.Policy) {
		l.mistake(fields["policy"].Line, "policy: %w", names.Unknown("policy", w.Policy, l.policies))
	}
	if w.Object != "" && !objectName.MatchString(w.Object) {
		l.mistake(fields["object"].Line, "object: %q is no object; %s", w.Object, mends["object"])
	}
	if _, err := path.Match(w.Overlay, ""); err != nil {
		l.mistake(fields["overlay"].Line, "overlay: %q is no glob: %w; escape a bracket with a backslash", w.Overlay, err)
	}
	if steps := strings.Split(filepath.ToSlash(path.Clean(w.Overlay)), "/"); slices.Contains(steps, "..") {
		l.mistake(fields["overlay"].Line, "overlay: %q leads upwards; write the end of the overlay's path, for example overlays/production", w.Overlay)
	}
	if text := values["path"]; text != "" {
		steps, err := field.Parse(text)
		if err != nil {
			l.mistake(fields["path"].Line, "path: %w; write it as the report does, for example spec.ports[0].nodePort", err)
		}
		w.Path = steps
	}
	if values["path"] != "" && w.Container != "" {
		l.mistake(fields["container"].Line, "path and container exclude each other; keep one of them")
	}
	if w.Expires != "" {
		day, err := time.Parse(time.DateOnly, w.Expires)
		if err != nil {
			l.mistake(fields["expires"].Line, "expires: %q is no day; %s", w.Expires, mends["expires"])
		}
		w.ends = day.AddDate(0, 0, 1)
	}
	return w
}

var objectName = regexp.MustCompile(`^[^/\s]+(/[^/\s]+){1,2}$`)

// mends say what to write for a field.
var mends = map[string]string{
	"policy":    "write category/policy, as in validate --list-policies",
	"object":    "write Kind/namespace/name, or Kind/name without a namespace, as the report does",
	"overlay":   "write the end of the overlay's path, or remove the field",
	"path":      "write the field as the report does, or remove it",
	"container": "write the container's name, or remove the field",
	"reason":    "say why the finding is bearable until then",
	"owner":     "name who sees to it that it ends",
	"expires":   "write the last day, UTC, as 2027-01-31",
}

func kindOf(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Kind == yaml.AliasNode:
		return "an alias"
	case node.Tag == "!!null":
		return "nothing"
	}
	return "a text"
}
