package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	versions "k8s.io/apimachinery/pkg/version"
)

// ObjectMeta is the definition of the metadata of every object.
const ObjectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

// Release is what one minor version of Kubernetes knows by itself.
type Release struct {
	Minor string
	// versions are those of each group/Kind, the preferred first.
	versions    map[string][]string
	roots       map[string]string // of group/Kind/version, the name of its definition
	definitions map[string]*lazy
	others      func() ([]*Release, error)
}

// lazy is a definition that is parsed when it is first needed.
type lazy struct {
	text []byte
	once sync.Once
	node *node
	err  error
}

// node is a schema. The generator says where it comes from.
type node struct {
	Ref        string           `json:"$ref"`
	Type       string           `json:"type"`
	Format     string           `json:"format"`
	Properties map[string]*node `json:"properties"`
	Additional *node            `json:"additionalProperties"`
	Items      *node            `json:"items"`
	Required   []string         `json:"required"`
	Enum       []string         `json:"enum"`
	Default    string           `json:"default"`
	Open       bool             `json:"x-kubernetes-preserve-unknown-fields"`
	ListType   string           `json:"x-kubernetes-list-type"`
	ListKeys   []string         `json:"x-kubernetes-list-map-keys"`
	// Or is a JSON type that may stand here as well.
	Or string `json:"or"`
}

func readRelease(minor string) (*Release, error) {
	entries, err := lines(File(minor))
	if err != nil {
		return nil, err
	}
	release := &Release{
		Minor: minor, versions: map[string][]string{}, roots: map[string]string{}, definitions: make(map[string]*lazy, len(entries)),
	}
	for name, text := range entries {
		slash := strings.LastIndexByte(name, '/')
		if slash < 0 {
			release.definitions[name] = &lazy{text: text}
			continue
		}
		var root string
		if err := json.Unmarshal(text, &root); err != nil {
			return nil, fmt.Errorf("reading the embedded schema of %s: %w", name, err)
		}
		release.roots[name] = root
		release.versions[name[:slash]] = append(release.versions[name[:slash]], name[slash+1:])
	}
	for _, each := range release.versions {
		prefer(each)
	}
	return release, nil
}

// prefer sorts versions as Kubernetes does: v2, v1, v1beta1, v1alpha1.
func prefer(names []string) {
	slices.SortFunc(names, func(a, b string) int { return versions.CompareKubeAwareVersionStrings(b, a) })
}

// Versions returns the versions of a kind that this minor version knows, the preferred first.
func (r *Release) Versions(group, kind string) []string { return r.versions[Key(group, kind)] }

func (r *Release) definition(name string) (*node, error) {
	entry := r.definitions[name]
	if entry == nil {
		return nil, fmt.Errorf("the embedded schemas of Kubernetes %s have no %s", r.Minor, name)
	}
	entry.once.Do(func() {
		entry.node = &node{}
		if err := json.Unmarshal(entry.text, entry.node); err != nil {
			entry.err = fmt.Errorf("reading the embedded schema of %s: %w", name, err)
		}
		entry.text = nil
	})
	return entry.node, entry.err
}

// validate checks an object, if its kind is known.
func (r *Release) validate(group, version, kind string, object map[string]any) (violations []Violation, known bool, err error) {
	root, known := r.roots[Key(group, kind)+"/"+version]
	if !known {
		return nil, false, nil
	}
	w := walk{release: r, others: r.others, subject: "Kubernetes " + r.Minor, secret: group == "" && kind == "Secret"}
	w.value(object, &node{Ref: root}, nil)
	return w.violations, true, w.err
}

// validateMetadata checks the metadata of a custom object.
func (r *Release) validateMetadata(object map[string]any) ([]Violation, error) {
	w := walk{release: r, others: r.others, subject: "Kubernetes " + r.Minor}
	if metadata, found := object["metadata"]; found {
		w.value(metadata, &node{Ref: ObjectMeta}, []any{"metadata"})
	}
	return w.violations, w.err
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
