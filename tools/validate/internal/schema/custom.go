package schema

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apivalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// compiled is what the API server makes of a definition, made when it is first needed.
type compiled struct {
	key  string
	text []byte

	read     sync.Once
	versions map[string]*custom
	parsed   *apiextensionsv1.CustomResourceDefinition
	err      error

	audited  sync.Once
	problems []problem
	auditErr error
}

// custom is one version of a custom kind.
type custom struct {
	once       sync.Once
	props      *apiextensionsv1.JSONSchemaProps
	dropStatus bool
	structural *structuralschema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
	err        error
}

// problem is what the API server says of a field, in its spelling of the path.
type problem struct {
	name, text string
}

func (c *compiled) parse() error {
	c.read.Do(func() {
		c.parsed = &apiextensionsv1.CustomResourceDefinition{}
		if c.err = json.Unmarshal(c.text, c.parsed); c.err != nil {
			return
		}
		apiextensionsv1.SetObjectDefaults_CustomResourceDefinition(c.parsed)
		c.versions = map[string]*custom{}
		for _, version := range c.parsed.Spec.Versions {
			each := &custom{dropStatus: version.Subresources != nil && version.Subresources.Status != nil}
			if version.Schema != nil {
				each.props = version.Schema.OpenAPIV3Schema
			}
			c.versions[version.Name] = each
		}
	})
	return c.err
}

func (c *custom) compile() error {
	c.once.Do(func() {
		if c.props == nil {
			c.err = errors.New("the version has no schema")
			return
		}
		internal := &apiextensions.JSONSchemaProps{}
		if c.err = apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(c.props, internal, nil); c.err != nil {
			return
		}
		c.props = nil
		if c.structural, c.err = structuralschema.NewStructural(internal); c.err != nil {
			return
		}
		if problems := structuralschema.ValidateStructural(nil, c.structural); len(problems) > 0 {
			c.err = problems.ToAggregate()
			return
		}
		if c.err = defaulting.PruneDefaults(c.structural); c.err != nil {
			return
		}
		withoutSizes(internal)
		if c.validator, _, c.err = validation.NewSchemaValidator(internal); c.err != nil {
			return
		}
		c.rules = cel.NewValidator(c.structural, true, celconfig.PerCallLimit)
	})
	return c.err
}

// withoutSizes drops the formats of integers: API servers before 1.36 do not look at them, and there are
// definitions, MetalLB's BGPPeer among them, whose limits do not fit the format they name.
func withoutSizes(schema *apiextensions.JSONSchemaProps) {
	if schema == nil {
		return
	}
	if schema.Type == "integer" {
		schema.Format = ""
	}
	each := func(list []apiextensions.JSONSchemaProps) {
		for i := range list {
			withoutSizes(&list[i])
		}
	}
	within := func(byName map[string]apiextensions.JSONSchemaProps) {
		for name, child := range byName {
			withoutSizes(&child)
			byName[name] = child
		}
	}
	within(schema.Properties)
	if schema.Items != nil {
		withoutSizes(schema.Items.Schema)
		each(schema.Items.JSONSchemas)
	}
	if schema.AdditionalProperties != nil {
		withoutSizes(schema.AdditionalProperties.Schema)
	}
	each(schema.AllOf)
	each(schema.AnyOf)
	each(schema.OneOf)
	withoutSizes(schema.Not)
}

// validate takes an object through the steps of the API server on its way into the storage.
func (c *compiled) validate(ctx context.Context, release *Release, from *Definition, version string, object map[string]any) ([]Violation, error) {
	kind, err := (*custom)(nil), c.parse()
	if err == nil {
		if kind = c.versions[version]; kind == nil {
			err = fmt.Errorf("it has no version %s", version)
		} else {
			err = kind.compile()
		}
	}
	if err != nil {
		return []Violation{{[]any{"kind"}, fmt.Sprintf("%s cannot be checked: its CustomResourceDefinition, from %s, is broken: %v", from.kind(), from.From, err)}}, nil
	}
	violations, err := release.validateMetadata(object)
	if err != nil {
		return nil, err
	}
	value := runtime.DeepCopyJSON(object)
	unknown := pruning.PruneWithOptions(value, kind.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	coercing, inMetadata := objectmeta.CoerceWithOptions(nil, value, kind.structural, false, objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	for _, name := range slices.Concat(unknown, inMetadata) {
		path := locate(object, name)
		key := fmt.Sprint(path[len(path)-1])
		violations = append(violations, Violation{path, fmt.Sprintf("the type has no field %q in its CustomResourceDefinition%s", key, didYouMean(key, fieldsAt(kind.structural, path[:len(path)-1])))})
	}
	if kind.dropStatus {
		delete(value, "status")
	}
	defaulting.Default(value, kind.structural)

	problems := validation.ValidateCustomResource(nil, value, kind.validator)
	problems = append(problems, objectmeta.Validate(nil, value, kind.structural, false)...)
	problems = append(problems, listtype.ValidateListSetsAndMaps(nil, kind.structural, value)...)
	if coercing != nil {
		problems = append(problems, coercing)
	}
	// Rules may take for granted that the types are right.
	if kind.rules != nil && len(problems) == 0 {
		broken, _ := kind.rules.Validate(ctx, nil, kind.structural, value, nil, celconfig.RuntimeCELCostBudget)
		if err := context.Cause(ctx); err != nil {
			return nil, fmt.Errorf("evaluating the rules of %s: %w", from.key, err)
		}
		for _, each := range broken {
			violations = append(violations, Violation{locate(value, each.Field), "a rule of the CustomResourceDefinition is broken: " + cmpText(each.Detail, each.ErrorBody())})
		}
	}
	for _, each := range problems {
		path := locate(value, each.Field)
		violations = append(violations, Violation{path, sentence(each, path)})
	}
	slices.SortStableFunc(violations, func(a, b Violation) int { return strings.Compare(a.Text, b.Text) })
	return violations, nil
}

// sentence says what the API server says of a field, without the path, which is told apart from it.
func sentence(err *field.Error, path []any) string {
	switch err.Type {
	case field.ErrorTypeRequired:
		return fmt.Sprintf("the field %s is missing, which the CustomResourceDefinition requires", last(path)) + detail(err)
	case field.ErrorTypeNotSupported:
		return fmt.Sprintf("the field %s holds %s; %s", last(path), quoted(err.BadValue), err.Detail)
	case field.ErrorTypeDuplicate:
		return fmt.Sprintf("the list has another item with %s, by which its CustomResourceDefinition tells its items apart", quoted(err.BadValue))
	}
	text := err.Detail
	if _, after, found := strings.Cut(text, " in body "); found {
		text = after
	}
	return fmt.Sprintf("the field %s: %s", last(path), cmpText(text, err.ErrorBody()))
}

func detail(err *field.Error) string {
	if err.Detail == "" {
		return ""
	}
	return ": " + err.Detail
}

func quoted(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// cmpText is the first text that says something.
func cmpText(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// fieldsAt are the names of the fields that an object may have at a path.
func fieldsAt(schema *structuralschema.Structural, path []any) []string {
	for _, step := range path {
		if schema == nil {
			return nil
		}
		switch step := step.(type) {
		case int:
			schema = schema.Items
		case string:
			if property, known := schema.Properties[step]; known {
				schema = &property
			} else if schema.AdditionalProperties != nil {
				schema = schema.AdditionalProperties.Structural
			} else {
				schema = nil
			}
		}
	}
	if schema == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(schema.Properties))
}

// audit adds what the API server would say of a definition itself.
func (l *Library) audit(ctx context.Context, object map[string]any, violations []Violation) ([]Violation, error) {
	definition, err := NewDefinition(object, "this object")
	if definition == nil || err != nil {
		return violations, err
	}
	problems, err := l.compiled.of(definition).audit(ctx)
	if err != nil {
		return nil, err
	}
	for _, each := range problems {
		path := locate(object, each.name)
		// The names of the fields that may be missing from a definition hold no dot.
		if n := len(path); n > 0 {
			if missing, ok := path[n-1].(string); ok && at(object, path) == nil {
				path = path[:n-1]
				for step := range strings.SplitSeq(missing, ".") {
					path = append(path, step)
				}
			}
		}
		if len(path) == 0 && len(violations) > 0 {
			continue // It could not be decoded, and the fields are named already.
		}
		// One word about a field is enough.
		if !slices.ContainsFunc(violations, func(v Violation) bool { return slices.Equal(v.Path, path) }) {
			violations = append(violations, Violation{path, each.text})
		}
	}
	return violations, nil
}

// written is where a field stands that the API server keeps in one place when all versions agree on it:
// for that, the first version stands.
func written(name string) string {
	for kept, place := range map[string]string{"webhookClientConfig": "clientConfig", "conversionReviewVersions": "conversionReviewVersions"} {
		if rest, found := strings.CutPrefix(name, "spec.conversion."+kept); found {
			return "spec.conversion.webhook." + place + rest
		}
	}
	for kept, place := range map[string]string{"validation": "schema", "subresources": "subresources", "additionalPrinterColumns": "additionalPrinterColumns", "selectableFields": "selectableFields"} {
		if rest, found := strings.CutPrefix(name, "spec."+kept); found {
			return "spec.versions[0]." + place + rest
		}
	}
	return name
}

// body leaves out what a value is where the detail says enough: it may be a large structure.
func body(err *field.Error) string {
	if err.Type == field.ErrorTypeInvalid && err.Detail != "" {
		return err.Detail
	}
	return err.ErrorBody()
}

// at is the value at a path, nil when there is none.
func at(value any, path []any) any {
	for _, step := range path {
		switch parent := value.(type) {
		case map[string]any:
			key, _ := step.(string)
			value = parent[key]
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(parent) {
				return nil
			}
			value = parent[i]
		default:
			return nil
		}
	}
	return value
}

func (c *compiled) audit(ctx context.Context) ([]problem, error) {
	if err := c.parse(); err != nil {
		return []problem{{"", fmt.Sprintf("the CustomResourceDefinition cannot be decoded: %v", err)}}, nil
	}
	c.audited.Do(func() {
		internal := &apiextensions.CustomResourceDefinition{}
		if c.auditErr = apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(c.parsed.DeepCopy(), internal, nil); c.auditErr != nil {
			return
		}
		// As the API server does for a new one.
		internal.Status = apiextensions.CustomResourceDefinitionStatus{}
		for _, version := range internal.Spec.Versions {
			if version.Storage {
				internal.Status.StoredVersions = []string{version.Name}
				break
			}
		}
		// What it finds is for all overlays, whichever came first: its time is not for one of them to end.
		for _, each := range apivalidation.ValidateCustomResourceDefinition(context.WithoutCancel(ctx), internal) {
			c.problems = append(c.problems, problem{written(each.Field), "the API server would refuse the CustomResourceDefinition: " + body(each)})
		}
	})
	return c.problems, c.auditErr
}

var index = regexp.MustCompile(`^\[?(\d+)\]?`)

// locate reads a path such as spec.list[0].key or spec.map[key] against the object, since a key may hold
// dots itself.
func locate(value any, name string) []any {
	if name == "" || name == "<nil>" {
		return nil
	}
	switch value := value.(type) {
	case map[string]any:
		// Where a key is written like an index.
		if inside, bracketed := strings.CutPrefix(name, "["); bracketed {
			for _, key := range sortedKeys(value) {
				if after, ok := strings.CutPrefix(inside, key+"]"); ok {
					return append([]any{key}, locate(value[key], strings.TrimPrefix(after, "."))...)
				}
			}
			if key, rest, closed := strings.Cut(inside, "]"); closed {
				return append([]any{key}, locate(nil, strings.TrimPrefix(rest, "."))...)
			}
		}
		longest, rest, found := name, "", false // A key that is missing is the last one.
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
