// Package schemagen makes the JSON Schema and the reference of homecloud.yaml
// from the source of its versioned types: their comments become descriptions,
// their tags become words, defaults and patterns. It runs when the project is
// generated, never in a program that ships.
package schemagen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

type object = map[string]any

// Generate reads the Go files of a directory and returns the schema (draft
// 2020-12) of the type root.
func Generate(directory, root string) ([]byte, error) {
	g, err := read(directory)
	if err != nil {
		return nil, err
	}
	schema, err := g.object(root)
	if err != nil {
		return nil, err
	}
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "homecloud.yaml"
	schema["$defs"] = g.definitions
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// declared is a struct type of the package with its comment.
type declared struct {
	fields *ast.StructType
	doc    *ast.CommentGroup
}

func read(directory string) (*generator, error) {
	paths, err := filepath.Glob(filepath.Join(directory, "*.go"))
	if err != nil {
		return nil, err
	}
	types := map[string]declared{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		collect(file, types)
	}
	return &generator{types: types, definitions: object{}}, nil
}

func collect(file *ast.File, types map[string]declared) {
	for _, declaration := range file.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		for _, spec := range general.Specs {
			named := spec.(*ast.TypeSpec)
			if fields, ok := named.Type.(*ast.StructType); ok {
				types[named.Name.Name] = declared{fields: fields, doc: general.Doc}
			}
		}
	}
}

type generator struct {
	types       map[string]declared
	definitions object
}

// property is a field of a struct type under its name in the file.
type property struct {
	name        string
	of          ast.Expr // its type
	tag         reflect.StructTag
	description string
	schema      object
}

func (p property) required() bool { return p.tag.Get("required") == "true" }

// properties are the fields of a struct type in their order.
func (g *generator) properties(name string) ([]property, error) {
	declaration, ok := g.types[name]
	if !ok {
		return nil, fmt.Errorf("type %s is not a struct of the package", name)
	}
	var properties []property
	for _, f := range declaration.fields.Fields.List {
		at := name + "." + f.Names[0].Name
		literal, err := strconv.Unquote(f.Tag.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		tag := reflect.StructTag(literal)
		schema, err := g.value(f.Type, tag)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		description := sentence(f.Doc)
		if description == "" {
			return nil, fmt.Errorf("%s has no comment", at)
		}
		properties = append(properties, property{tag.Get("yaml"), f.Type, tag, description, schema})
	}
	return properties, nil
}

func (g *generator) object(name string) (object, error) {
	fields, err := g.properties(name)
	if err != nil {
		return nil, err
	}
	properties, required := object{}, []string{}
	for _, f := range fields {
		f.schema["description"] = f.description
		properties[f.name] = f.schema
		if f.required() {
			required = append(required, f.name)
		}
	}
	doc := g.types[name].doc
	schema := object{
		"type": "object", "description": sentence(doc),
		"properties": properties, "additionalProperties": false,
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	if alternatives := oneOf(doc); len(alternatives) > 0 {
		schema["oneOf"] = alternatives
	}
	return schema, nil
}

// value is the schema of a field's type; the tag speaks of the innermost value.
func (g *generator) value(expression ast.Expr, tag reflect.StructTag) (object, error) {
	switch t := expression.(type) {
	case *ast.StarExpr:
		return g.value(t.X, tag)
	case *ast.ArrayType:
		items, err := g.value(t.Elt, tag)
		return object{"type": "array", "items": items}, err
	case *ast.MapType:
		values, err := g.value(t.Value, tag)
		return object{"type": "object", "additionalProperties": values}, err
	case *ast.Ident:
		return g.named(t.Name, tag)
	}
	return nil, fmt.Errorf("a schema of %T is not known", expression)
}

func (g *generator) named(name string, tag reflect.StructTag) (object, error) {
	text, hasDefault := tag.Lookup("default")
	var schema object
	var value any = text
	switch name {
	case "any":
		return object{}, nil
	case "string":
		schema = object{"type": "string"}
	case "Quantity":
		schema = object{"type": []string{"string", "number"}}
	case "bool":
		schema, value = object{"type": "boolean"}, text == "true"
	case "int":
		schema, value = object{"type": "integer"}, number(text)
	case "Count":
		schema = object{"anyOf": []object{{"type": "integer", "minimum": 0}, {"const": "forever"}}}
		if text != "forever" {
			value = number(text)
		}
	default:
		if _, known := g.definitions[name]; !known {
			g.definitions[name] = nil // a type that holds itself would not end
			definition, err := g.object(name)
			if err != nil {
				return nil, err
			}
			g.definitions[name] = definition
		}
		return object{"$ref": "#/$defs/" + name}, nil
	}
	if hasDefault {
		schema["default"] = value
	}
	if words := strings.Fields(tag.Get("enum")); len(words) > 0 {
		schema["enum"] = words
	}
	if pattern := tag.Get("pattern"); pattern != "" {
		schema["pattern"] = pattern
	} else if tag.Get("required") == "true" && name == "string" {
		schema["minLength"] = 1
	}
	for _, bound := range []string{"minimum", "maximum"} {
		if text, ok := tag.Lookup(bound); ok {
			schema[bound] = number(text)
		}
	}
	if example := tag.Get("example"); example != "" && schema["enum"] == nil {
		schema["examples"] = []string{example}
	}
	return schema, nil
}

func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// sentence is a comment on one line; directives are no part of it.
func sentence(comment *ast.CommentGroup) string {
	return strings.Join(strings.Fields(comment.Text()), " ")
}

const oneOfDirective = "//schema:oneof "

func oneOf(comment *ast.CommentGroup) []object {
	if comment == nil {
		return nil
	}
	i := slices.IndexFunc(comment.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, oneOfDirective) })
	if i < 0 {
		return nil
	}
	var alternatives []object
	for _, field := range strings.Fields(strings.TrimPrefix(comment.List[i].Text, oneOfDirective)) {
		alternatives = append(alternatives, object{"required": []string{field}})
	}
	return alternatives
}
