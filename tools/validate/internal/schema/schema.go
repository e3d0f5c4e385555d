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
		violations = append(violations, violation(err))
	}
	slices.SortFunc(violations, func(a, b Violation) int { return strings.Compare(a.Text, b.Text) })
	return violations, nil
}

var (
	step      = regexp.MustCompile(`[^.\[\]]+`)
	forbidden = regexp.MustCompile(`^(\S+) in body is a forbidden property$`)
)

func violation(err error) Violation {
	var invalid *openapierrors.Validation
	if !errors.As(err, &invalid) {
		return Violation{Text: err.Error()}
	}
	name, text := invalid.Name, invalid.Error()
	// The library names the parent of a property that is too much.
	if match := forbidden.FindStringSubmatch(text); match != nil {
		name = match[1]
		text = "the type has no field " + strconv.Quote(name[strings.LastIndexByte(name, '.')+1:])
	}
	var path []any
	for _, part := range step.FindAllString(name, -1) {
		if index, err := strconv.Atoi(part); err == nil {
			path = append(path, index)
			continue
		}
		path = append(path, part)
	}
	return Violation{path, text}
}
