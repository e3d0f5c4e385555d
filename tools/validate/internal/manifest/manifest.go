// Package manifest turns rendered objects into values and checks them strictly against their types:
// an unknown, duplicate, mistyped or missing field is a defect, although Kubernetes' clients would drop
// it or the cluster would refuse it only at apply time.
package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// Object is one rendered object.
type Object struct {
	APIVersion string
	Kind       string
	Namespace  string // empty for cluster-scoped objects
	Name       string

	// Value is the whole object: maps, slices, strings, int64, float64, bool and nil.
	Value map[string]any
}

// String is Kind/namespace/name, or Kind/name without a namespace.
func (o *Object) String() string {
	if o.Namespace == "" {
		return o.Kind + "/" + o.Name
	}
	return o.Kind + "/" + o.Namespace + "/" + o.Name
}

// A Defect is a field that does not fit the object's type.
type Defect struct {
	// Path leads to the field: keys (string) and indexes (int). It is empty when it is not known.
	Path []any
	Text string
}

// Decoder checks objects against their types. It may be used by several goroutines.
type Decoder struct {
	schemas *schema.Set
}

// NewDecoder returns a Decoder that knows the kinds of schemas.
func NewDecoder(schemas *schema.Set) *Decoder { return &Decoder{schemas} }

// Decode converts a rendered object and returns its defects. An error means that node is no object at
// all, or that the context ended.
func (d *Decoder) Decode(ctx context.Context, node *yaml.RNode) (*Object, []Defect, error) {
	object, defects, err := Read(node)
	if err != nil {
		return nil, nil, err
	}
	checked, err := d.Check(ctx, object)
	if err != nil {
		return nil, nil, err
	}
	return object, append(defects, checked...), nil
}

// Read converts a rendered object, and returns the defects that it has whatever its type.
func Read(node *yaml.RNode) (*Object, []Defect, error) {
	var defects []Defect
	value, err := convert(node.YNode(), nil, &defects)
	if err != nil {
		return nil, nil, fmt.Errorf("converting %s %s: %w", node.GetKind(), node.GetName(), err)
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, nil, errors.New("a rendered document is no mapping")
	}
	return New(fields), defects, nil
}

// New wraps the value of an object.
func New(fields map[string]any) *Object {
	object := &Object{Value: fields}
	object.APIVersion, _ = fields["apiVersion"].(string)
	object.Kind, _ = fields["kind"].(string)
	if metadata, ok := fields["metadata"].(map[string]any); ok {
		object.Namespace, _ = metadata["namespace"].(string)
		object.Name, _ = metadata["name"].(string)
	}
	return object
}

// Container returns the name of the container that the field at path belongs to, empty when it belongs
// to none.
func Container(object map[string]any, path []any) string {
	var value any = object
	name, list := "", ""
	for _, step := range path {
		switch parent := value.(type) {
		case map[string]any:
			list, _ = step.(string)
			value = parent[list]
		case []any:
			index, ok := step.(int)
			if !ok || index < 0 || index >= len(parent) {
				return name
			}
			value = parent[index]
			if fields, ok := value.(map[string]any); ok && slices.Contains(containerLists, list) {
				name, _ = fields["name"].(string)
			}
			list = ""
		default:
			return name
		}
	}
	return name
}

var containerLists = []string{"containers", "initContainers", "ephemeralContainers"}

// Check compares an object with its type.
func (d *Decoder) Check(ctx context.Context, object *Object) ([]Defect, error) {
	if object.APIVersion == "" || object.Kind == "" {
		return []Defect{{Text: "apiVersion or kind is missing"}}, nil
	}
	group, version := splitAPIVersion(object.APIVersion)
	violations, err := d.schemas.Validate(ctx, group, version, object.Kind, object.Value)
	if errors.Is(err, schema.ErrUnknownKind) {
		var defect Defect
		if defect, err = d.unknown(object, group, version); err == nil {
			return []Defect{defect}, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("checking %s: %w", object, err)
	}
	defects := make([]Defect, len(violations))
	for i, violation := range violations {
		defects[i] = Defect{violation.Path, violation.Text}
	}
	return defects, nil
}

func splitAPIVersion(apiVersion string) (group, version string) {
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		return "", apiVersion
	}
	return group, version
}
