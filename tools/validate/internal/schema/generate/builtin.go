package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// Where Kubernetes keeps what its API server publishes. The document of the first file is written with
// enumerations switched off; the code of the second, which it is written from, has them.
const (
	published = "api/openapi-spec/swagger.json"
	generated = "pkg/generated/openapi/zz_generated.openapi.go"
)

// leastEnums is fewer than any release has. Not to find them would mean not to check them.
const leastEnums = 100

// definition is a schema as in the published document, and as what is kept of it.
type definition struct {
	Ref        string                 `json:"$ref,omitempty"`
	Type       string                 `json:"type,omitempty"`
	Format     string                 `json:"format,omitempty"`
	Properties map[string]*definition `json:"properties,omitempty"`
	Additional *definition            `json:"additionalProperties,omitempty"`
	Items      *definition            `json:"items,omitempty"`
	Required   []string               `json:"required,omitempty"`
	Enum       []string               `json:"enum,omitempty"`
	Default    string                 `json:"default,omitempty"`
	Open       bool                   `json:"x-kubernetes-preserve-unknown-fields,omitempty"`
	ListType   string                 `json:"x-kubernetes-list-type,omitempty"`
	ListKeys   []string               `json:"x-kubernetes-list-map-keys,omitempty"`
	Or         string                 `json:"or,omitempty"`
}

type operation struct {
	GroupVersionKind *struct{ Group, Version, Kind string } `json:"x-kubernetes-group-version-kind"`
	Parameters       []struct {
		In     string
		Schema definition
	}
}

const prefix = "#/definitions/"

// builtin returns the kinds that can be created and what they consist of.
func builtin(dir string) (map[string]any, error) {
	text, err := os.ReadFile(filepath.Join(dir, published))
	if err != nil {
		return nil, err
	}
	var document struct {
		Definitions map[string]*definition
		Paths       map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", published, err)
	}
	if err := enumerate(filepath.Join(dir, generated), document.Definitions); err != nil {
		return nil, err
	}
	if err := sharpen(document.Definitions); err != nil {
		return nil, err
	}
	entries := map[string]any{}
	for path, operations := range document.Paths {
		// What is posted below an object's name is no object of its own.
		if operations["post"] == nil || strings.Contains(path, "{name}") {
			continue
		}
		var create operation
		if err := json.Unmarshal(operations["post"], &create); err != nil {
			return nil, fmt.Errorf("decoding the operation of %s: %w", path, err)
		}
		kind := create.GroupVersionKind
		for _, parameter := range create.Parameters {
			if kind == nil || parameter.In != "body" {
				continue
			}
			root := strings.TrimPrefix(parameter.Schema.Ref, prefix)
			entries[schema.Key(kind.Group, kind.Kind)+"/"+kind.Version] = root
			if err := reach(root, document.Definitions, entries); err != nil {
				return nil, err
			}
		}
	}
	// The metadata of custom objects is the same.
	return entries, reach(schema.ObjectMeta, document.Definitions, entries)
}

// reach adds a definition and all that it refers to.
func reach(name string, definitions map[string]*definition, entries map[string]any) error {
	if _, done := entries[name]; done {
		return nil
	}
	root := definitions[name]
	if root == nil {
		return fmt.Errorf("there is no definition %q", name)
	}
	entries[name] = root
	return root.each(func(node *definition) error {
		if node.Ref == "" {
			return nil
		}
		node.Ref = strings.TrimPrefix(node.Ref, prefix)
		return reach(node.Ref, definitions, entries)
	})
}

// each calls visit for a schema and all in it, but not for what it refers to.
func (d *definition) each(visit func(*definition) error) error {
	if d == nil {
		return nil
	}
	problems := []error{visit(d), d.Items.each(visit), d.Additional.each(visit)}
	for _, property := range d.Properties {
		problems = append(problems, property.each(visit))
	}
	return errors.Join(problems...)
}

// sharpen says what the document leaves to its readers: types that are written in several ways.
func sharpen(definitions map[string]*definition) error {
	const meta, extensions = "io.k8s.apimachinery.pkg.", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
	for name, meant := range map[string]definition{
		meta + "api.resource.Quantity":        {Type: "string", Format: "quantity"},
		meta + "runtime.RawExtension":         {Type: "object", Open: true},
		meta + "apis.meta.v1.FieldsV1":        {Type: "object", Open: true},
		extensions + "JSONSchemaPropsOrArray": {Ref: prefix + extensions + "JSONSchemaProps", Or: "array"},
		extensions + "JSONSchemaPropsOrBool":  {Ref: prefix + extensions + "JSONSchemaProps", Or: "boolean"},
	} {
		known := definitions[name]
		if known == nil {
			return fmt.Errorf("there is no definition %s", name)
		}
		*known = meant
	}
	return nil
}

// enumerate adds the values that a field may have, and the defaults of fields by which the items of a
// list are told apart.
func enumerate(file string, definitions map[string]*definition) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parsing %s: %w", generated, err)
	}
	functions := map[string]*ast.BlockStmt{}
	for _, declaration := range parsed.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok {
			functions[function.Name.Name] = function.Body
		}
	}
	keys := map[string]bool{}
	for _, each := range definitions {
		_ = each.each(func(node *definition) error {
			if node.Items != nil {
				for _, key := range node.ListKeys {
					keys[strings.TrimPrefix(node.Items.Ref, prefix)+" "+key] = true
				}
			}
			return nil
		})
	}
	found := 0
	for name, target := range definitions {
		body := functions[function(name)]
		if body == nil {
			continue
		}
		isKey := func(property string) bool { return keys[name+" "+property] }
		ast.Inspect(body, func(node ast.Node) bool {
			literal, ok := node.(*ast.CompositeLit)
			if ok {
				found += transfer(literal, target, isKey)
			}
			return !ok
		})
	}
	if found < leastEnums {
		return fmt.Errorf("%s: only %d enumerations were found", generated, found)
	}
	return nil
}

// function is the name of the function that describes a definition.
func function(definition string) string {
	steps := strings.Split(strings.Replace(definition, "io.k8s.", "k8sio.", 1), ".")
	kind := len(steps) - 1
	return "schema_" + strings.Join(append(steps[max(0, kind-4):kind:kind], steps[kind]), "_")
}

// transfer looks into the literal of a schema, through the wrappers that it consists of, and counts the
// enumerations in it.
func transfer(literal *ast.CompositeLit, target *definition, isKey func(property string) bool) int {
	found := 0
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		name, _ := pair.Key.(*ast.Ident)
		value := pair.Value
		if pointer, ok := value.(*ast.UnaryExpr); ok {
			value = pointer.X
		}
		inner, ok := value.(*ast.CompositeLit)
		if name == nil || !ok {
			continue
		}
		switch name.Name {
		case "Schema", "SchemaProps":
			found += transfer(inner, target, isKey)
		case "Enum":
			target.Enum = make([]string, len(inner.Elts))
			for i, each := range inner.Elts {
				target.Enum[i] = constant(each)
			}
			found++
		case "Properties":
			for _, each := range inner.Elts {
				property, ok := each.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				key := constant(property.Key)
				child, known := target.Properties[key]
				described, ok := property.Value.(*ast.CompositeLit)
				if !known || !ok {
					continue
				}
				found += transfer(described, child, nil)
				if isKey != nil && isKey(key) {
					child.Default = defaultOf(described)
				}
			}
		case "Items":
			if target.Items != nil {
				found += transfer(inner, target.Items, nil)
			}
		case "AdditionalProperties":
			if target.Additional != nil {
				found += transfer(inner, target.Additional, nil)
			}
		}
	}
	return found
}

// defaultOf is the text that a field has when it is not written, empty for none.
func defaultOf(literal *ast.CompositeLit) string {
	text := ""
	ast.Inspect(literal, func(node ast.Node) bool {
		if pair, ok := node.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok && key.Name == "Default" {
				text = constant(pair.Value)
			}
		}
		return true
	})
	return text
}

// constant is the value of a string literal, empty for any other expression.
func constant(expression ast.Expr) string {
	literal, ok := expression.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return text
}
