package schema

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/ft-services/ft-services/tools/validate/internal/names"
)

// walk compares a value with the schemas of a release.
type walk struct {
	release    *Release
	others     func() ([]*Release, error) // the other releases, which are only read where there is a defect
	subject    string                     // who wants it so, for the sentences
	secret     bool                       // no value may be said
	violations []Violation
	err        error
}

func (w *walk) add(path []any, format string, args ...any) {
	w.violations = append(w.violations, Violation{slices.Clone(path), fmt.Sprintf(format, args...)})
}

func (w *walk) value(value any, schema *node, path []any) {
	if value == nil || w.err != nil {
		return // A null is as good as absent in a mapping, and a defect of its own in a list.
	}
	name := ""
	for schema.Ref != "" {
		if schema.Or != "" && typeOf(value) == schema.Or {
			return
		}
		name = schema.Ref
		if schema, w.err = w.release.definition(schema.Ref); w.err != nil {
			return
		}
	}
	if schema.Type == "" && schema.Format == "" {
		return
	}
	switch value := value.(type) {
	case map[string]any:
		if schema.Type != "object" {
			w.mistyped("a mapping", schema, path)
			return
		}
		w.mapping(value, schema, name, path)
	case []any:
		if schema.Type != "array" {
			w.mistyped("a list", schema, path)
			return
		}
		for i, item := range value {
			if item == nil && !w.takesAnything(schema.Items) {
				w.add(append(path, i), "an entry of a list is null")
			}
			w.value(item, schema.Items, append(path, i))
		}
		w.unique(value, schema, path)
	default:
		w.scalar(value, schema, path)
	}
}

func (w *walk) takesAnything(schema *node) bool {
	for schema.Ref != "" && w.err == nil {
		schema, w.err = w.release.definition(schema.Ref)
	}
	return w.err == nil && schema.Type == "" && schema.Format == ""
}

func (w *walk) mapping(value map[string]any, schema *node, name string, path []any) {
	for _, key := range sortedKeys(value) {
		child := schema.Properties[key]
		if child == nil {
			child = schema.Additional
		}
		if child == nil {
			if !schema.Open {
				w.add(append(path, key), "the type has no field %q in %s%s", key, w.subject, cmp.Or(w.elsewhere(name, key), didYouMean(key, sortedKeys(schema.Properties))))
			}
			continue
		}
		w.value(value[key], child, append(path, key))
	}
	// The API server takes no status from who writes an object, so a part of it does no harm.
	if len(path) > 0 && path[0] == "status" {
		return
	}
	for _, key := range schema.Required {
		if value[key] == nil && !w.corrected(name, key) {
			w.add(append(path, key), "the field %q is missing, which %s requires", key, w.subject)
		}
	}
}

// corrected tells whether a later release no longer requires a field. Kubernetes does not do away with
// what it has relied on: the API server has always had a default for the field, and the schema was wrong.
func (w *walk) corrected(name, key string) bool {
	others, err := w.others()
	if err != nil {
		w.err = err
	}
	for _, other := range others {
		if other.Minor <= w.release.Minor || other.definitions[name] == nil {
			continue
		}
		definition, err := other.definition(name)
		if err != nil {
			w.err = err
			return false
		}
		if !slices.Contains(definition.Required, key) {
			return true
		}
	}
	return false
}

// elsewhere names the other releases that know a field of a definition.
func (w *walk) elsewhere(name, key string) string {
	var minors []string
	others, err := w.others()
	if err != nil {
		w.err = err
	}
	for _, other := range others {
		if other.definitions[name] == nil {
			continue
		}
		definition, err := other.definition(name)
		if err != nil {
			w.err = err
			return ""
		}
		if definition.Properties[key] != nil {
			minors = append(minors, other.Minor)
		}
	}
	switch len(minors) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("; Kubernetes %s has it", minors[0])
	}
	return fmt.Sprintf("; Kubernetes %s have it", and(minors))
}

// didYouMean names the field that was meant by one that does not exist, if one looks like it.
func didYouMean(key string, known []string) string {
	for _, each := range known {
		if strings.EqualFold(each, key) {
			return fmt.Sprintf("; did you mean %q?", each)
		}
	}
	// What merely contains the other word is no likely meaning of a short one.
	if near := names.Near(key, known); len(near) > 0 && len(key) > 2 {
		return fmt.Sprintf("; did you mean %q?", near[0])
	}
	return ""
}

func (w *walk) scalar(value any, schema *node, path []any) {
	switch value := value.(type) {
	case bool:
		if schema.Type != "boolean" {
			w.mistyped("a bool", schema, path)
		}
	case int64:
		switch {
		case schema.Format == "int-or-string" || schema.Format == "quantity" || schema.Type == "number":
		case schema.Type != "integer" || !fits(value, schema.Format):
			w.mistyped(w.number(strconv.FormatInt(value, 10)), schema, path)
		}
	case float64:
		whole := value == math.Trunc(value) && math.Abs(value) < 1<<53
		switch {
		case schema.Format == "quantity" || schema.Type == "number":
		case whole && (schema.Format == "int-or-string" || schema.Type == "integer" && fits(int64(value), schema.Format)):
		default:
			w.mistyped(w.number(strconv.FormatFloat(value, 'g', -1, 64)), schema, path)
		}
	case string:
		if schema.Type != "string" && schema.Format != "int-or-string" {
			w.mistyped("a string", schema, path)
			return
		}
		w.text(value, schema, path)
	}
}

func (w *walk) number(text string) string {
	if w.secret {
		return "a number"
	}
	return "the number " + text
}

func fits(value int64, format string) bool {
	return format != "int32" || value == int64(int32(value))
}

func (w *walk) text(value string, schema *node, path []any) {
	switch schema.Format {
	case "byte":
		if _, err := base64.StdEncoding.DecodeString(value); err != nil {
			w.mistyped("text that is no base64", schema, path)
		}
	case "quantity":
		if _, err := resource.ParseQuantity(value); err != nil {
			w.add(path, "the field %s does not hold a Quantity: %v", last(path), err)
		}
	case "date-time":
		if _, err := time.Parse(time.RFC3339, value); err != nil {
			w.mistyped(strconv.Quote(value), schema, path)
		}
	}
	// What Go programs write for a field that is not set is the empty text.
	if len(schema.Enum) > 0 && value != "" && !slices.Contains(schema.Enum, value) {
		w.add(path, "the field %s holds %q; %s knows %s%s", last(path), value, w.subject, oneOf(schema.Enum), didYouMean(value, schema.Enum))
	}
}

// oneOf lists values to choose from.
func oneOf(values []string) string {
	quoted := make([]string, 0, len(values))
	for _, value := range values {
		if value != "" {
			quoted = append(quoted, value)
		}
	}
	if len(quoted) < 2 {
		return "only " + strings.Join(quoted, "")
	}
	return and(quoted)
}

// and lists texts, of which there is one at least.
func and(texts []string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	return strings.Join(texts[:len(texts)-1], ", ") + " and " + texts[len(texts)-1]
}

func (w *walk) mistyped(what string, schema *node, path []any) {
	w.add(path, "the field %s holds %s where the type wants %s in %s", last(path), what, describe(schema), w.subject)
}

func describe(schema *node) string {
	switch {
	case schema.Format == "byte":
		return "base64"
	case schema.Format == "quantity":
		return "a Quantity such as 500m or 1Gi"
	case schema.Format == "int-or-string":
		return "a number or a string"
	case schema.Format == "date-time":
		return "a time such as 2006-01-02T15:04:05Z"
	case schema.Type == "object":
		return "a mapping"
	case schema.Type == "array":
		return "a list"
	case schema.Type == "boolean":
		return "a bool"
	case schema.Type == "integer" && schema.Format != "":
		return schema.Format
	case schema.Type == "integer":
		return "an integer"
	}
	return "a " + schema.Type
}

// unique finds items that stand for the same thing: server-side apply refuses such a list, and other
// clients merge it in surprising ways.
func (w *walk) unique(items []any, schema *node, path []any) {
	if schema.ListType != "map" && schema.ListType != "set" || len(items) < 2 || w.err != nil {
		return
	}
	// Of two rules of a definition with one text the API server evaluates both, each with its message.
	if slices.Equal(schema.ListKeys, []string{"rule"}) {
		return
	}
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		id, comparable := "", false
		switch item := item.(type) {
		case map[string]any:
			if schema.ListType == "map" {
				id, comparable = w.identity(item, schema)
			}
		case string:
			id, comparable = strconv.Quote(item), schema.ListType == "set"
		}
		if comparable && seen[id] {
			w.add(append(path, i), "the list has another item with %s, by which %s tells its items apart", id, w.subject)
		}
		seen[id] = true
	}
}

// identity names what an item of a list is told apart by, as in `name "web"`. It is not comparable when
// a field of it is missing or mistyped, which is a defect of its own.
func (w *walk) identity(item map[string]any, list *node) (text string, comparable bool) {
	parts := make([]string, len(list.ListKeys))
	for i, key := range list.ListKeys {
		switch value := item[key].(type) {
		case string:
			parts[i] = key + " " + strconv.Quote(value)
		case int64, float64, bool:
			parts[i] = fmt.Sprintf("%s %v", key, value)
		case nil:
			schema := list.Items
			for schema.Ref != "" {
				if schema, w.err = w.release.definition(schema.Ref); w.err != nil {
					return "", false
				}
			}
			field := schema.Properties[key]
			if field == nil || slices.Contains(schema.Required, key) {
				return "", false
			}
			parts[i] = key + " " + strconv.Quote(field.Default)
		default:
			return "", false
		}
	}
	return strings.Join(parts, " and "), true
}

func typeOf(value any) string {
	switch value.(type) {
	case bool:
		return "boolean"
	case []any:
		return "array"
	}
	return ""
}

func last(path []any) string {
	if len(path) == 0 {
		return "of the object"
	}
	if index, ok := path[len(path)-1].(int); ok {
		return "[" + strconv.Itoa(index) + "]"
	}
	return strconv.Quote(fmt.Sprint(path[len(path)-1]))
}
