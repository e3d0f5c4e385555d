// Package schema validates custom resources offline against schemas that are generated from the
// CustomResourceDefinitions in pinned Go modules (see generate) and embedded compressed.
package schema

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	openapierrors "k8s.io/kube-openapi/pkg/validation/errors"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
)

//go:generate go run ./generate -out crds.json.gz

//go:embed crds.json.gz
var embedded []byte

// Set holds the schema of each known kind. It may be used by several goroutines.
type Set struct {
	byKind map[string]func() (*spec.Schema, error)
}

// Key names a kind in the generated file.
func Key(group, version, kind string) string { return group + "/" + version + "/" + kind }

// Load returns the embedded schemas.
func Load() (*Set, error) {
	reader, err := gzip.NewReader(bytes.NewReader(embedded))
	if err != nil {
		return nil, fmt.Errorf("opening the embedded schemas: %w", err)
	}
	var texts map[string]json.RawMessage
	if err := json.NewDecoder(reader).Decode(&texts); err != nil {
		return nil, fmt.Errorf("reading the embedded schemas: %w", err)
	}
	set := &Set{byKind: make(map[string]func() (*spec.Schema, error), len(texts))}
	for key, text := range texts {
		// Some schemas are large and most runs need few of them.
		set.byKind[key] = sync.OnceValues(func() (*spec.Schema, error) {
			schema := &spec.Schema{}
			if err := json.Unmarshal(text, schema); err != nil {
				return nil, fmt.Errorf("reading the embedded schema of %s: %w", key, err)
			}
			return schema, nil
		})
	}
	return set, nil
}

// A Violation is a field that does not fit the schema.
type Violation struct {
	Path []any // keys (string) and indexes (int)
	Text string
}

// ErrUnknownKind is returned by Validate for a kind that has no schema here.
var ErrUnknownKind = errors.New("no schema is known")

// Validate checks an object of a custom kind. Besides ErrUnknownKind it only fails when the embedded
// schema itself is broken.
func (s *Set) Validate(group, version, kind string, object map[string]any) ([]Violation, error) {
	read, known := s.byKind[Key(group, version, kind)]
	if !known {
		return nil, ErrUnknownKind
	}
	schema, err := read()
	if err != nil {
		return nil, err
	}
	result := validate.NewSchemaValidator(schema, nil, "", strfmt.Default).Validate(object)
	var violations []Violation
	for _, err := range result.Errors {
		violations = append(violations, violation(err, object))
	}
	slices.SortFunc(violations, func(a, b Violation) int { return strings.Compare(a.Text, b.Text) })
	return violations, nil
}

var (
	index     = regexp.MustCompile(`^\[?(\d+)\]?`)
	forbidden = regexp.MustCompile(`^(.+) in body is a forbidden property$`)
)

func violation(err error, object map[string]any) Violation {
	var invalid *openapierrors.Validation
	if !errors.As(err, &invalid) {
		return Violation{Text: err.Error()}
	}
	// The library names the parent of a property that is too much.
	if match := forbidden.FindStringSubmatch(invalid.Error()); match != nil {
		path := locate(object, match[1])
		return Violation{path, "the type has no field " + strconv.Quote(fmt.Sprint(path[len(path)-1]))}
	}
	return Violation{locate(object, invalid.Name), invalid.Error()}
}

// locate reads a path such as spec.list[0].key against the object, since a key may hold dots itself.
func locate(value any, name string) []any {
	if name == "" {
		return nil
	}
	switch value := value.(type) {
	case map[string]any:
		longest := name // A key that is missing is the last one.
		rest := ""
		found := false
		for key := range value {
			after, ok := strings.CutPrefix(name, key)
			if ok && (after == "" || after[0] == '.' || after[0] == '[') && (!found || len(key) > len(longest)) {
				longest, rest, found = key, after, true
			}
		}
		return append([]any{longest}, locate(value[longest], strings.TrimPrefix(rest, "."))...)
	case []any:
		if match := index.FindStringSubmatch(name); match != nil {
			i, err := strconv.Atoi(match[1])
			if err == nil && i < len(value) {
				return append([]any{i}, locate(value[i], strings.TrimPrefix(name[len(match[0]):], "."))...)
			}
		}
	}
	return []any{name}
}
