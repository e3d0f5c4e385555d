// Package schema tells, offline, whether an object fits its kind.
//
// For Kubernetes' own kinds it follows what the API server of a minor version publishes, generated from
// pinned Go modules (see generate) and embedded compressed. A walker of its own does that, not a general
// JSON Schema library: the schemas refer to each other, and to themselves; most of them are never looked
// at in a run and are not even parsed; a number may be a quantity; and a defect needs its path and a
// sentence that says what to write instead.
//
// For custom kinds it takes the API server's own libraries through the steps of the API server:
// structural schema, unknown fields, defaults, validation, list types, and the rules in CEL.
package schema

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	apiversion "k8s.io/apimachinery/pkg/util/version"
)

//go:generate go run ./generate

//go:embed *.gz
var embedded embed.FS

// DefinitionsFile holds the CustomResourceDefinitions that are known without a tree that brings them.
const DefinitionsFile = "crds.gz"

const filePrefix, fileSuffix = "kubernetes-", ".gz"

// File is the name of the file with the schemas of a minor version.
func File(minor string) string { return filePrefix + minor + fileSuffix }

// Minors returns the minor versions of Kubernetes whose schemas are known, such as 1.36, the newest last.
func Minors() []string {
	files, err := fs.Glob(embedded, File("*"))
	if err != nil {
		panic(err) // The pattern is a constant.
	}
	minors := make([]string, len(files))
	for i, file := range files {
		minors[i] = strings.TrimSuffix(strings.TrimPrefix(file, filePrefix), fileSuffix)
	}
	slices.SortFunc(minors, compare)
	return minors
}

// Older tells whether one minor version came before another.
func Older(minor, than string) bool { return compare(minor, than) < 0 }

func compare(a, b string) int {
	older, newer := apiversion.MustParseGeneric(a), apiversion.MustParseGeneric(b)
	switch {
	case older.LessThan(newer):
		return -1
	case newer.LessThan(older):
		return 1
	}
	return 0
}

var version = regexp.MustCompile(`^v?(\d+\.\d+)(\.\d+)?$`)

// MinorOf returns the minor version of a version such as 1.36, 1.36.5 or v1.36.5, empty if it is none.
func MinorOf(text string) string {
	match := version.FindStringSubmatch(text)
	if match == nil {
		return ""
	}
	return match[1]
}

// Key names a kind of an API group.
func Key(group, kind string) string { return group + "/" + kind }

// ErrUnknownMinor is returned for a version of Kubernetes whose schemas are not here.
var ErrUnknownMinor = errors.New("unknown version of Kubernetes")

// Library holds all schemas that are embedded, each read when it is first needed. It may be used by
// several goroutines.
type Library struct {
	releases    map[string]func() (*Release, error) // by minor version
	definitions func() (map[string]*Definition, error)
	compiled    cache
}

// NewLibrary returns the embedded schemas.
func NewLibrary() *Library {
	library := &Library{releases: map[string]func() (*Release, error){}, definitions: sync.OnceValues(embeddedDefinitions)}
	for _, minor := range Minors() {
		library.releases[minor] = sync.OnceValues(func() (*Release, error) {
			release, err := readRelease(minor)
			if err == nil {
				release.others = func() ([]*Release, error) { return library.except(minor) }
			}
			return release, err
		})
	}
	return library
}

// except returns all releases but one.
func (l *Library) except(minor string) ([]*Release, error) {
	var others []*Release
	for _, each := range Minors() {
		if each == minor {
			continue
		}
		release, err := l.releases[each]()
		if err != nil {
			return nil, err
		}
		others = append(others, release)
	}
	return others, nil
}

// Set returns what objects are checked against: the kinds of a minor version of Kubernetes, and custom
// ones. Where definitions are of the same kind, the first counts; all come before the embedded ones.
func (l *Library) Set(minor string, definitions ...*Definition) (*Set, error) {
	read, known := l.releases[minor]
	if !known {
		return nil, fmt.Errorf("%w %q; known: %s", ErrUnknownMinor, minor, strings.Join(Minors(), ", "))
	}
	release, err := read()
	if err != nil {
		return nil, err
	}
	set := &Set{Release: release, library: l, custom: map[string]*Definition{}}
	for _, each := range definitions {
		if _, taken := set.custom[each.key]; !taken {
			set.custom[each.key] = each
		}
	}
	return set, nil
}

// lines reads a file of the generator: the JSON of every entry by its name.
func lines(file string) (map[string][]byte, error) {
	compressed, err := embedded.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("opening the embedded schemas: %w", err)
	}
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, fmt.Errorf("opening the embedded schemas %s: %w", file, err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("reading the embedded schemas %s: %w", file, err)
	}
	entries := make(map[string][]byte, bytes.Count(text, []byte("\n")))
	for line := range bytes.Lines(text) {
		name, value, found := bytes.Cut(line, []byte(" "))
		if !found {
			return nil, fmt.Errorf("reading the embedded schemas %s: a line without a name", file)
		}
		entries[string(name)] = value
	}
	return entries, nil
}

// A Violation is a field that does not fit the schema.
type Violation struct {
	Path []any // keys (string) and indexes (int); of a missing field, where it would be
	Text string
}

// Set is what the objects of an overlay are checked against. It may be used by several goroutines.
type Set struct {
	Release *Release
	library *Library
	custom  map[string]*Definition
}

// ErrUnknownKind is returned by Validate for a kind that has no schema here.
var ErrUnknownKind = errors.New("no schema is known")

// Validate checks an object. Besides ErrUnknownKind it fails when the context ends, and when an embedded
// schema is broken.
func (s *Set) Validate(ctx context.Context, group, version, kind string, object map[string]any) ([]Violation, error) {
	violations, known, err := s.Release.validate(group, version, kind, object)
	if err != nil {
		return nil, err
	}
	if known {
		if group == definitionGroup && kind == DefinitionKind {
			violations, err = s.library.audit(ctx, object, violations)
		}
		return violations, err
	}
	definition, err := s.definition(group, kind)
	if err != nil {
		return nil, err
	}
	if definition == nil || !slices.Contains(definition.Served(), version) {
		return nil, ErrUnknownKind
	}
	return s.library.compiled.of(definition).validate(ctx, s.Release, definition, version, object)
}

// Versions returns the versions of a kind that can be used, in the API's order of preference.
func (s *Set) Versions(group, kind string) ([]string, error) {
	if versions := s.Release.Versions(group, kind); len(versions) > 0 {
		return versions, nil
	}
	definition, err := s.definition(group, kind)
	if definition == nil || err != nil {
		return nil, err
	}
	return definition.Served(), nil
}

// Given tells whether a kind is Kubernetes' own, or one of the definitions that the set was made of.
func (s *Set) Given(group, kind string) bool {
	return len(s.Release.Versions(group, kind)) > 0 || s.custom[Key(group, kind)] != nil
}

// definition returns what defines a custom kind, nil when nothing does.
func (s *Set) definition(group, kind string) (*Definition, error) {
	key := Key(group, kind)
	if definition := s.custom[key]; definition != nil {
		return definition, nil
	}
	own, err := s.library.definitions()
	if err != nil {
		return nil, err
	}
	return own[key], nil
}

// Kinds returns group/Kind of all that is known.
func (s *Set) Kinds() ([]string, error) {
	own, err := s.library.definitions()
	if err != nil {
		return nil, err
	}
	kinds := slices.Concat(slices.Collect(maps.Keys(s.Release.versions)), slices.Collect(maps.Keys(s.custom)), slices.Collect(maps.Keys(own)))
	slices.Sort(kinds)
	return slices.Compact(kinds), nil
}

// Serving returns the minor versions of Kubernetes that know a version of a built-in kind.
func (s *Set) Serving(group, version, kind string) ([]string, error) {
	var serving []string
	for _, minor := range Minors() {
		release, err := s.library.releases[minor]()
		if err != nil {
			return nil, err
		}
		if slices.Contains(release.Versions(group, kind), version) {
			serving = append(serving, minor)
		}
	}
	return serving, nil
}
