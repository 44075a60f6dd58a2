package valuesdoc

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// schema is a JSON Schema with the document it stands in; nil allows anything.
type schema struct {
	root, here map[string]any
	above      []uintptr // the schemas that led here: one may contain itself
}

func parseSchema(text []byte) (*schema, error) {
	if text == nil {
		return nil, nil
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("values.schema.json: %w", err)
	}
	return &schema{root: root, here: root}, nil
}

// in is another place of the document, behind its references.
func (s *schema) in(here any) *schema {
	object, is := here.(map[string]any)
	for range 10 { // a reference to itself ends somewhere
		reference, refers := object["$ref"].(string)
		if !is || !refers || !strings.HasPrefix(reference, "#/") {
			break
		}
		var target any = s.root
		for _, key := range strings.Split(strings.TrimPrefix(reference, "#/"), "/") {
			below, _ := target.(map[string]any)
			target = below[key]
		}
		object, is = target.(map[string]any)
	}
	if !is {
		return nil
	}
	return &schema{s.root, object, append(slices.Clone(s.above), reflect.ValueOf(s.here).Pointer())}
}

// again says whether the schema is part of itself.
func (s *schema) again() bool { return slices.Contains(s.above, reflect.ValueOf(s.here).Pointer()) }

// at is what is said of a path; nil: nothing.
func (s *schema) at(path []string) *schema {
	for _, key := range path {
		if s == nil {
			return nil
		}
		properties, _ := s.here["properties"].(map[string]any)
		if property, has := properties[key]; has {
			s = s.in(property)
		} else {
			s = s.in(s.here["additionalProperties"])
		}
	}
	return s
}

// facts are a value's default and what else may stand there.
func (s *schema) facts(v value) []string {
	if v.opened() {
		return nil
	}
	return append([]string{shown(v.node)}, s.allowed(v.node)...)
}

// allowed is what the schema allows, as far as the default doesn't show it.
func (s *schema) allowed(node *yaml.Node) (facts []string) {
	if s == nil {
		return nil
	}
	if list, is := s.here["enum"].([]any); is {
		var names []string
		for _, entry := range list {
			text, _ := json.Marshal(entry)
			names = append(names, "`"+strings.Trim(string(text), `"`)+"`")
		}
		return []string{"one of " + strings.Join(names, ", ")}
	}
	kind, _ := s.here["type"].(string)
	if several, is := s.here["type"].([]any); is {
		var kinds []string
		for _, one := range several {
			kinds = append(kinds, fmt.Sprint(one))
		}
		kind = strings.Join(kinds, " or ")
	}
	if kind != "" && (node == nil || node.Tag == "!!null" || node.Value == "" && node.Kind == yaml.ScalarNode) {
		facts = append(facts, kind)
	}
	low, hasLow := s.here["minimum"]
	high, hasHigh := s.here["maximum"]
	switch {
	case hasLow && hasHigh:
		facts = append(facts, fmt.Sprintf("%s to %s", number(low), number(high)))
	case hasLow:
		facts = append(facts, "at least "+number(low))
	case hasHigh:
		facts = append(facts, "at most "+number(high))
	}
	return facts
}

func number(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	if n, is := value.(float64); is && n == float64(int64(n)) {
		return fmt.Sprint(int64(n))
	}
	return string(text)
}

// unseen are the keys that the schema knows below a value whose default shows
// none: entries of a map have no names yet.
func (s *schema) unseen(at string) (lines []string) {
	if s == nil {
		return nil
	}
	if entries := s.in(s.here["additionalProperties"]); entries != nil {
		return entries.unseenOf(at + ".*")
	}
	if items := s.in(s.here["items"]); items != nil {
		return items.unseenOf(at + "[]")
	}
	if _, has := s.here["properties"]; has {
		return s.unseenOf(at)
	}
	return nil
}

func (s *schema) unseenOf(at string) (lines []string) {
	properties, _ := s.here["properties"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		path := at + "." + key
		property := s.in(properties[key])
		if property == nil {
			continue
		}
		line := "`" + path + "`"
		facts := property.allowed(nil)
		if slices.Contains(s.required(), key) {
			facts = append(facts, "required")
		}
		if facts != nil {
			line += " (" + strings.Join(facts, ", ") + ")"
		}
		if description, _ := property.here["description"].(string); description != "" {
			line += ": " + description
		}
		lines = append(lines, line)
		if !property.again() {
			lines = append(lines, property.unseen(path)...)
		}
	}
	return lines
}

func (s *schema) required() (names []string) {
	list, _ := s.here["required"].([]any)
	for _, name := range list {
		names = append(names, fmt.Sprint(name))
	}
	return names
}

// unknown are the values that the schema refuses by their name.
func (s *schema) unknown(values []value) (gaps []string) {
	for _, v := range values {
		parent := s.at(v.path[:len(v.path)-1])
		if parent == nil {
			continue
		}
		properties, _ := parent.here["properties"].(map[string]any)
		if _, has := properties[v.path[len(v.path)-1]]; !has && parent.here["additionalProperties"] == false {
			gaps = append(gaps, v.name()+" isn't in values.schema.json")
			continue
		}
		gaps = append(gaps, s.unknown(v.below)...)
	}
	return gaps
}

// Schema makes a JSON Schema for a chart that has none: the type of each
// default, its comment, and nothing that forbids a key, because only the
// chart's author knows what else there is.
func Schema(title string, values []byte) ([]byte, error) {
	read, err := parse(values)
	if err != nil {
		return nil, err
	}
	made := mapOf(read)
	made["$schema"] = "http://json-schema.org/draft-07/schema#"
	made["title"] = title
	text, err := json.MarshalIndent(made, "", "  ")
	return append(text, '\n'), err
}

func mapOf(values []value) map[string]any {
	properties := map[string]any{}
	for _, v := range values {
		property := map[string]any{}
		if v.comment != "" {
			property["description"] = prose(v.comment)
		}
		switch v.node.Kind {
		case yaml.MappingNode:
			for key, said := range mapOf(v.below) {
				property[key] = said
			}
		case yaml.SequenceNode:
			property["type"] = "array"
		case yaml.ScalarNode:
			if kind := types[v.node.Tag]; kind != "" {
				property["type"] = kind
			}
		}
		properties[v.path[len(v.path)-1]] = property
	}
	made := map[string]any{"type": "object"}
	if len(properties) > 0 {
		made["properties"] = properties
	}
	return made
}

// types are JSON's names for YAML's types. A default of null says nothing.
var types = map[string]string{"!!str": "string", "!!int": "integer", "!!float": "number", "!!bool": "boolean"}
