package kubeschema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

type object = map[string]any

// Enums returns the values that the fields of a schema may have, by field, where
// the document doesn't say.
type Enums func(schema string) map[string][]any

type groupVersionKind struct{ Group, Version, Kind string }

func (g groupVersionKind) apiVersion() string {
	return strings.TrimPrefix(g.Group+"/"+g.Version, "/")
}

// document is an OpenAPI v3 document, as Kubernetes serves and publishes one for
// each group and version.
type document struct {
	Paths map[string]struct {
		Post *struct {
			Action string           `json:"x-kubernetes-action"`
			GVK    groupVersionKind `json:"x-kubernetes-group-version-kind"`
		}
	}
	Components struct{ Schemas map[string]object }
}

// AddDocument adds the kinds of an OpenAPI v3 document that can be created. bit
// stands for the version that the document describes.
func (e *Extract) AddDocument(content []byte, bit uint, enums Enums) error {
	var d document
	if err := json.Unmarshal(content, &d); err != nil {
		return fmt.Errorf("OpenAPI document: %w", err)
	}
	needed := map[string]bool{}
	for path, operations := range d.Paths {
		o := operations.Post
		if o == nil || o.Action != "post" || !ofKind(path) {
			continue
		}
		schema := d.schemaOf(o.GVK)
		if schema == "" {
			return fmt.Errorf("OpenAPI document: %s %s has no schema", o.GVK.apiVersion(), o.GVK.Kind)
		}
		d.collect(schema, needed)
		e.addKind(Key(o.GVK.apiVersion(), o.GVK.Kind), Kind{Schema: schema, Namespaced: strings.Contains(path, namespaced), Versions: bit})
	}
	for name := range needed {
		if d.Components.Schemas[name] == nil {
			continue // another document's
		}
		e.addDefinition(name, Definition{Schema: structure(d.Components.Schemas[name], enums(name)), Versions: bit})
	}
	return nil
}

const namespaced = "/namespaces/{namespace}/"

// ofKind says whether a path is that of a kind, and not of something below an
// object, such as a pod's eviction.
func ofKind(path string) bool { return !strings.Contains(path, "{name}") }

func (d document) schemaOf(wanted groupVersionKind) string {
	for name, schema := range d.Components.Schemas {
		kinds, _ := schema["x-kubernetes-group-version-kind"].([]any)
		for _, k := range kinds {
			k, _ := k.(object)
			if k["group"] == wanted.Group && k["version"] == wanted.Version && k["kind"] == wanted.Kind {
				return name
			}
		}
	}
	return ""
}

const documentReferences, ownReferences = "#/components/schemas/", "#/definitions/"

// collect finds everything that a schema refers to.
func (d document) collect(name string, needed map[string]bool) {
	if needed[name] {
		return
	}
	needed[name] = true
	walk(d.Components.Schemas[name], func(o object) {
		if ref, is := o["$ref"].(string); is {
			d.collect(strings.TrimPrefix(ref, documentReferences), needed)
		}
	})
}

// walk calls back for every object in a value of JSON.
func walk(value any, found func(object)) {
	switch v := value.(type) {
	case object:
		found(v)
		for _, inner := range v {
			walk(inner, found)
		}
	case []any:
		for _, inner := range v {
			walk(inner, found)
		}
	}
}

// kept are the keywords that say what is valid. Others are prose, or rules in a
// language of their own (x-kubernetes-validations) that only an API server
// evaluates.
var kept = []string{
	"type", "format", "required", "items", "additionalProperties", "oneOf", "anyOf", "allOf", "not", "enum", "$ref",
	"pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
	"minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
	"x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-preserve-unknown-fields",
}

const keepsUnknown = "x-kubernetes-preserve-unknown-fields"

// structure is a schema without prose, strict about fields that it doesn't know
// as an API server is when it is asked to be.
func structure(schema object, enums map[string][]any) object {
	result := object{}
	for _, keyword := range kept {
		if value, has := schema[keyword]; has {
			result[keyword] = value
		}
	}
	switch {
	case schema["x-kubernetes-int-or-string"] == true:
		delete(result, "type")
		delete(result, "anyOf")
		result["oneOf"] = []any{object{"type": "integer"}, object{"type": "string"}}
	case schema["x-kubernetes-embedded-resource"] == true:
		result[keepsUnknown] = true // its own schema isn't known here
	}
	if ref, is := result["$ref"].(string); is {
		result["$ref"] = ownReferences + strings.TrimPrefix(strings.TrimPrefix(ref, documentReferences), ownReferences)
	}
	if pattern, is := result["pattern"].(string); is {
		if _, err := regexp.Compile(pattern); err != nil {
			delete(result, "pattern") // of another dialect
		}
	}
	exclusive(result, "minimum", "exclusiveMinimum")
	exclusive(result, "maximum", "exclusiveMaximum")
	for _, keyword := range []string{"items", "additionalProperties"} {
		if inner, is := result[keyword].(object); is {
			result[keyword] = structure(inner, nil)
		}
	}
	if all, is := result["allOf"].([]any); is && len(all) == 1 {
		if inner, _ := all[0].(object); len(inner) == 1 && inner["$ref"] != nil { // how a reference gets a description
			delete(result, "allOf")
			result["$ref"] = structure(inner, nil)["$ref"]
		}
	}
	properties, has := schema["properties"].(object)
	if !has {
		return result
	}
	inner := object{}
	for name, property := range properties {
		property, _ := property.(object)
		kept := structure(property, nil)
		if values := enums[name]; values != nil {
			kept["enum"] = values
		}
		inner[name] = kept
	}
	result["properties"] = inner
	if _, says := result["additionalProperties"]; !says && result[keepsUnknown] != true {
		result["additionalProperties"] = false
	}
	return result
}

// exclusive turns a limit of OpenAPI 3.0, a number and a flag, into a number.
func exclusive(schema object, limit, flag string) {
	is, isFlag := schema[flag].(bool)
	if !isFlag {
		return
	}
	delete(schema, flag)
	if is {
		schema[flag] = schema[limit]
		delete(schema, limit)
	}
}

func (e *Extract) addKind(key string, added Kind) {
	i := slices.IndexFunc(e.Kinds[key], func(k Kind) bool { return k.Schema == added.Schema })
	if i < 0 {
		e.Kinds[key] = append(e.Kinds[key], added)
		return
	}
	e.Kinds[key][i].Versions |= added.Versions
	e.Kinds[key][i].Namespaced = e.Kinds[key][i].Namespaced || added.Namespaced
}

func (e *Extract) addDefinition(name string, added Definition) {
	i := slices.IndexFunc(e.Definitions[name], func(d Definition) bool { return reflect.DeepEqual(d.Schema, added.Schema) })
	if i < 0 {
		e.Definitions[name] = append(e.Definitions[name], added)
		return
	}
	e.Definitions[name][i].Versions |= added.Versions
}
