package manifest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/kubectl/pkg/scheme"
)

// typeOf is the Go type of an object of a built-in kind, nil when it has none.
func typeOf(object *Object) reflect.Type {
	typed, err := scheme.Scheme.New(apischema.FromAPIVersionAndKind(object.APIVersion, object.Kind))
	if err != nil {
		return nil
	}
	return reflect.TypeOf(typed)
}

// fieldDefects finds every field on account of which an object was not decoded. The decoder itself
// stops at the first value that does not fit, and names no index on the way to it.
func fieldDefects(object *Object, kind reflect.Type, cause error) []Defect {
	var defects []Defect
	if kind != nil {
		defects = fit(object.Value, kind, nil, nil)
	}
	if len(defects) == 0 {
		return []Defect{{Text: cause.Error()}}
	}
	return defects
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// fit adds what of value does not fit its type.
func fit(value any, kind reflect.Type, path []any, defects []Defect) []Defect {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if value == nil || kind.Kind() == reflect.Interface {
		return defects
	}
	if reflect.PointerTo(kind).Implements(unmarshaler) {
		text, err := utiljson.Marshal(value)
		if err == nil {
			err = reflect.New(kind).Interface().(json.Unmarshaler).UnmarshalJSON(text)
		}
		if err != nil {
			return append(defects, Defect{path, fmt.Sprintf("the field %s does not hold a %s: %v", last(path), kind.Name(), err)})
		}
		return defects
	}
	mistyped := func(what string) []Defect {
		return append(defects, Defect{path, fmt.Sprintf("the field %s holds %s where the type wants %s", last(path), what, describe(kind))})
	}
	below := func(step any) []any { return append(path[:len(path):len(path)], step) }

	switch value := value.(type) {
	case map[string]any:
		if kind.Kind() != reflect.Struct && kind.Kind() != reflect.Map {
			return mistyped("a mapping")
		}
		fields := fieldsOf(kind)
		for _, key := range slices.Sorted(maps.Keys(value)) {
			child := kind
			if kind.Kind() == reflect.Map {
				child = kind.Elem()
			} else if child = fields[key]; child == nil {
				defects = append(defects, Defect{below(key), "the type has no field " + strconv.Quote(key)})
				continue
			}
			defects = fit(value[key], child, below(key), defects)
		}
		return defects
	case []any:
		if kind.Kind() != reflect.Slice || kind.Elem().Kind() == reflect.Uint8 {
			return mistyped("a list")
		}
		for i, item := range value {
			defects = fit(item, kind.Elem(), below(i), defects)
		}
		return defects
	case string:
		if kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Uint8 {
			if _, err := base64.StdEncoding.DecodeString(value); err != nil {
				return mistyped("text that is no base64")
			}
			return defects
		}
		if kind.Kind() != reflect.String {
			return mistyped("a string")
		}
	case bool:
		if kind.Kind() != reflect.Bool {
			return mistyped("a bool")
		}
	case int64, float64:
		text := fmt.Sprint(value)
		if json.Unmarshal([]byte(text), reflect.New(kind).Interface()) != nil {
			return mistyped("the number " + text)
		}
	}
	return defects
}

// fieldsOf are the types of a struct's fields by their names in JSON.
func fieldsOf(kind reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	if kind.Kind() != reflect.Struct {
		return fields
	}
	for i := range kind.NumField() {
		field := kind.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported():
		case name == "" && field.Anonymous:
			maps.Copy(fields, fieldsOf(field.Type))
		case name == "":
			fields[field.Name] = field.Type
		default:
			fields[name] = field.Type
		}
	}
	return fields
}

func describe(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.Struct, reflect.Map:
		return "a mapping"
	case reflect.Slice:
		if kind.Elem().Kind() == reflect.Uint8 {
			return "base64"
		}
		return "a list"
	case reflect.String, reflect.Bool:
		return "a " + kind.Kind().String()
	}
	return kind.Kind().String()
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
