// Package manifest turns rendered objects into values and checks them strictly against their types:
// an unknown, duplicate or mistyped field is a defect, although Kubernetes' clients would drop it or
// the cluster would refuse it only at apply time.
package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/kubectl/pkg/scheme"
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
	builtin runtime.Serializer
	schemas *schema.Set
}

// NewDecoder returns a Decoder that knows kubectl's built-in kinds and the custom resources of
// schemas.
func NewDecoder(schemas *schema.Set) *Decoder {
	return &Decoder{
		builtin: json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Strict: true}),
		schemas: schemas,
	}
}

// Decode converts a rendered object and returns its defects. An error means that node is no object at
// all.
func (d *Decoder) Decode(node *yaml.RNode) (*Object, []Defect, error) {
	var defects []Defect
	value, err := convert(node.YNode(), nil, &defects)
	if err != nil {
		return nil, nil, fmt.Errorf("converting %s %s: %w", node.GetKind(), node.GetName(), err)
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, nil, errors.New("a rendered document is no mapping")
	}
	object := New(fields)
	checked, err := d.Check(object)
	if err != nil {
		return nil, nil, err
	}
	return object, append(defects, checked...), nil
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
func (d *Decoder) Check(object *Object) ([]Defect, error) {
	group, version := splitAPIVersion(object.APIVersion)
	text, err := utiljson.Marshal(object.Value)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", object, err)
	}
	typed, _, err := d.builtin.Decode(text, nil, nil)
	switch {
	case err == nil:
		return removed(object, typed), nil
	case runtime.IsNotRegisteredError(err):
		violations, err := d.schemas.Validate(group, version, object.Kind, object.Value)
		if errors.Is(err, schema.ErrUnknownKind) {
			return []Defect{{Path: []any{"kind"}, Text: fmt.Sprintf("no schema is known for %s %s; is apiVersion or kind mistyped?", object.APIVersion, object.Kind)}}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("checking %s: %w", object, err)
		}
		defects := make([]Defect, len(violations))
		for i, violation := range violations {
			defects[i] = Defect{violation.Path, violation.Text}
		}
		return defects, nil
	case runtime.IsMissingKind(err), runtime.IsMissingVersion(err):
		return []Defect{{Text: "apiVersion or kind is missing"}}, nil
	}
	return fieldDefects(object, typeOf(object), err), nil
}

// removedBefore is the minor version of Kubernetes 1 whose types the decoder knows.
const removedBefore = 36

// removed says when Kubernetes no longer serves the object's type, which its clients still know.
func removed(object *Object, typed runtime.Object) []Defect {
	lifecycle, ends := typed.(interface{ APILifecycleRemoved() (major, minor int) })
	if !ends {
		return nil
	}
	major, minor := lifecycle.APILifecycleRemoved()
	if major != 1 || minor > removedBefore {
		return nil
	}
	text := fmt.Sprintf("Kubernetes %d.%d has removed %s %s", major, minor, object.APIVersion, object.Kind)
	if follows, known := typed.(interface {
		APILifecycleReplacement() apischema.GroupVersionKind
	}); known {
		version, kind := follows.APILifecycleReplacement().ToAPIVersionAndKind()
		text += fmt.Sprintf("; use %s %s", version, kind)
	}
	return []Defect{{Path: []any{"apiVersion"}, Text: text}}
}

func splitAPIVersion(apiVersion string) (group, version string) {
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		return "", apiVersion
	}
	return group, version
}
