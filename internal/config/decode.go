package config

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/tmorin/homecloud/internal/config/v1alpha1"
)

// decode fills the versioned type from the root of the document, strictly:
// whatever the type does not know is an error with a position. Fields that are
// missing get the constant defaults of their tags.
func (d *document) decode(into any) {
	if d.usable(d.root, "", "") {
		d.decodeStruct(d.root, reflect.ValueOf(into).Elem(), "")
	}
}

// report records an error of the value at path and marks it as unusable.
func (d *document) report(node *yaml.Node, path, problem, remedy string) {
	d.broken[path] = true
	d.findings = append(d.findings, Finding{
		File: d.file, Line: node.Line, Column: node.Column, Path: path, Problem: problem, Remedy: remedy,
	})
}

// usable refuses what YAML offers beyond plain values. Anchors are refused
// because an alias bomb is a few lines long, and because a family's file
// should be read from top to bottom.
func (d *document) usable(node *yaml.Node, tag reflect.StructTag, path string) bool {
	switch {
	case node.Kind == yaml.AliasNode:
		d.report(node, path, "*"+node.Value+" is an alias, which is not supported", "write the value itself")
	case node.Anchor != "":
		d.report(node, path, "&"+node.Anchor+" is an anchor, which is not supported", "remove it")
	case node.Style&yaml.TaggedStyle != 0:
		d.report(node, path, node.Tag+" is a tag, which is not supported", "remove it")
	case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null":
		d.report(node, path, "has no value", emptyRemedy(tag))
	default:
		return true
	}
	return false
}

func (d *document) decodeValue(node *yaml.Node, out reflect.Value, tag reflect.StructTag, path string) {
	d.values[path] = node
	if !d.usable(node, tag, path) {
		return
	}
	switch out.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(out.Type().Elem()))
		d.decodeValue(node, out.Elem(), tag, path)
	case reflect.Struct:
		if d.expect(node, yaml.MappingNode, path) {
			d.decodeStruct(node, out, path)
		}
	case reflect.Slice:
		if !d.expect(node, yaml.SequenceNode, path) {
			return
		}
		out.Set(reflect.MakeSlice(out.Type(), len(node.Content), len(node.Content)))
		for i, entry := range node.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			if entry.Kind == yaml.ScalarNode && entry.Value == "" && entry.ShortTag() == "!!str" {
				d.report(entry, at, "is empty", "write a value, or remove the entry")
				continue
			}
			d.decodeValue(entry, out.Index(i), tag, at)
		}
	case reflect.Map:
		if d.expect(node, yaml.MappingNode, path) {
			d.decodeMap(node, out, tag, path)
		}
	case reflect.Interface:
		if value := d.decodeAny(node, path); value != nil {
			out.Set(reflect.ValueOf(value))
		}
	default:
		if d.expect(node, yaml.ScalarNode, path) {
			d.decodeScalar(node, out, tag, path)
		}
	}
}

var kindNames = map[yaml.Kind]string{
	yaml.MappingNode: "fields", yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value",
}

func (d *document) expect(node *yaml.Node, kind yaml.Kind, path string) bool {
	if node.Kind == kind {
		return true
	}
	remedy := map[yaml.Kind]string{
		yaml.MappingNode:  "write field: value pairs",
		yaml.SequenceNode: "write [a, b], or one entry per line after a dash",
		yaml.ScalarNode:   "write one value",
	}[kind]
	d.report(node, path, "is "+kindOf(node)+" instead of "+kindNames[kind], remedy)
	return false
}

// field is a field of a versioned type under its name in the file.
type field struct {
	name  string
	index int
	tag   reflect.StructTag
}

var fieldCache sync.Map // reflect.Type → []field

func fieldsOf(t reflect.Type) []field {
	if cached, ok := fieldCache.Load(t); ok {
		return cached.([]field)
	}
	fields := make([]field, t.NumField())
	for i := range fields {
		f := t.Field(i)
		fields[i] = field{name: f.Tag.Get("yaml"), index: i, tag: f.Tag}
	}
	fieldCache.Store(t, fields)
	return fields
}

func (d *document) decodeStruct(node *yaml.Node, out reflect.Value, path string) {
	fields := fieldsOf(out.Type())
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	seen := map[string]bool{}
	d.eachEntry(node, path, func(key, value *yaml.Node, name, at string) {
		i := slices.Index(names, name)
		if i < 0 {
			d.report(key, at, "unknown field", unknownField(name, names, out.Type()))
			return
		}
		seen[name] = true
		d.decodeValue(value, out.Field(fields[i].index), fields[i].tag, at)
	})
	for _, f := range fields {
		if seen[f.name] {
			continue
		}
		at := join(path, f.name)
		if f.tag.Get("required") == "true" {
			d.report(node, at, "is missing", "write "+f.name+": "+f.tag.Get("example"))
		}
		setDefaults(out.Field(f.index), f.tag)
	}
}

func (d *document) decodeMap(node *yaml.Node, out reflect.Value, tag reflect.StructTag, path string) {
	out.Set(reflect.MakeMap(out.Type()))
	d.eachEntry(node, path, func(_, value *yaml.Node, name, at string) {
		entry := reflect.New(out.Type().Elem()).Elem()
		d.decodeValue(value, entry, tag, at)
		out.SetMapIndex(reflect.ValueOf(name), entry)
	})
}

// eachEntry visits the entries of a mapping once per key.
func (d *document) eachEntry(node *yaml.Node, path string, visit func(key, value *yaml.Node, name, at string)) {
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0 {
			d.findings = append(d.findings, Finding{
				File: d.file, Line: key.Line, Column: key.Column, Path: path,
				Problem: "a field's name must be a plain word", Remedy: "write name: value",
			})
			continue
		}
		if key.ShortTag() == "!!merge" {
			d.report(key, join(path, "<<"), "merging is not supported", "write the fields themselves")
			continue
		}
		at := join(path, key.Value)
		if earlier := first[key.Value]; earlier != nil {
			d.report(key, at, fmt.Sprintf("is written twice, first in line %d", earlier.Line), "keep one of them")
			continue
		}
		first[key.Value] = key
		d.keys[at] = key
		visit(key, value, key.Value, at)
	}
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func join(path, name string) string {
	switch {
	case !plainKey.MatchString(name):
		return path + "[" + strconv.Quote(name) + "]"
	case path == "":
		return name
	}
	return path + "." + name
}

func (d *document) decodeScalar(node *yaml.Node, out reflect.Value, tag reflect.StructTag, path string) {
	text, yamlType := node.Value, node.ShortTag()
	switch out.Interface().(type) {
	case bool:
		if yamlType != "!!bool" {
			d.report(node, path, fmt.Sprintf("%s is %s instead of true or false", shown(text), kindOf(node)), booleanRemedy(text))
			return
		}
		out.SetBool(strings.EqualFold(text, "true"))
		return
	case int:
		d.decodeInt(node, out, tag, path)
		return
	case v1alpha1.Count:
		number, err := strconv.Atoi(text)
		if text != "forever" && (yamlType != "!!int" || err != nil || number < 0 || strconv.Itoa(number) != text) {
			d.report(node, path, shown(text)+" is not a count", "write a number, or forever")
			return
		}
		out.SetString(text)
		return
	case v1alpha1.Quantity:
		if yamlType == "!!int" || yamlType == "!!float" {
			yamlType = "!!str"
		}
	}
	if enum := strings.Fields(tag.Get("enum")); len(enum) > 0 && !slices.Contains(enum, text) {
		problem := shown(text) + " is not one of " + strings.Join(enum, ", ")
		if len(enum) == 1 {
			problem = shown(text) + " is not known"
		}
		d.report(node, path, problem, wordRemedy(text, enum))
		return
	}
	switch yamlType {
	case "!!int", "!!float", "!!bool":
		d.report(node, path, fmt.Sprintf("is %s instead of a text", kindOf(node)), textRemedy(yamlType, text, tag))
		return
	}
	if text == "" && !emptyAllowed(tag) {
		d.report(node, path, "is empty", emptyRemedy(tag))
		return
	}
	out.SetString(text)
}

func (d *document) decodeInt(node *yaml.Node, out reflect.Value, tag reflect.StructTag, path string) {
	number, err := strconv.Atoi(node.Value)
	if node.ShortTag() != "!!int" || err != nil || strconv.Itoa(number) != node.Value {
		remedy := "write digits only"
		if node.ShortTag() == "!!str" && err == nil {
			remedy = "write it without quotes: " + strconv.Itoa(number)
		}
		d.report(node, path, shown(node.Value)+" is not a whole number", remedy)
		return
	}
	lowest, highest := bounds(tag)
	if number < lowest || number > highest {
		d.report(node, path, fmt.Sprintf("%d is not between %d and %d", number, lowest, highest), "write a number in that range")
		return
	}
	out.SetInt(int64(number))
}

func bounds(tag reflect.StructTag) (lowest, highest int) {
	lowest, _ = strconv.Atoi(tag.Get("minimum"))
	highest, err := strconv.Atoi(tag.Get("maximum"))
	if err != nil {
		highest = 1<<31 - 1
	}
	return lowest, highest
}

// decodeAny reads what is passed on as it is (the k3s configuration).
func (d *document) decodeAny(node *yaml.Node, path string) any {
	switch node.Kind {
	case yaml.MappingNode:
		fields := map[string]any{}
		d.eachEntry(node, path, func(_, value *yaml.Node, name, at string) {
			d.values[at] = value
			if d.usable(value, "", at) {
				fields[name] = d.decodeAny(value, at)
			}
		})
		return fields
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for i, entry := range node.Content {
			if at := fmt.Sprintf("%s[%d]", path, i); d.usable(entry, "", at) {
				list = append(list, d.decodeAny(entry, at))
			}
		}
		return list
	}
	var value any
	if err := node.Decode(&value); err != nil {
		d.report(node, path, "can't be read", "write a text, a number, true or false")
		return nil
	}
	return value
}

// setDefaults gives a missing field what its tags say, and its fields theirs.
func setDefaults(out reflect.Value, tag reflect.StructTag) {
	text, ok := tag.Lookup("default")
	switch out.Kind() {
	case reflect.Struct:
		for _, f := range fieldsOf(out.Type()) {
			setDefaults(out.Field(f.index), f.tag)
		}
	case reflect.String:
		out.SetString(text)
	case reflect.Bool:
		out.SetBool(text == "true")
	case reflect.Int:
		if number, err := strconv.Atoi(text); ok && err == nil {
			out.SetInt(int64(number))
		}
	}
}

func emptyAllowed(tag reflect.StructTag) bool {
	if tag.Get("pattern") == "" {
		return tag.Get("required") == "" && tag.Get("enum") == ""
	}
	return fits("", tag)
}

// emptyRemedy never proposes to remove what must be written.
func emptyRemedy(tag reflect.StructTag) string {
	switch example := tag.Get("example"); {
	case tag.Get("required") == "true":
		return "write one such as " + example
	case example != "":
		return "write one such as " + example + ", or remove the line"
	}
	return "write a value, or remove the line"
}

// textRemedy proposes quotes where the same characters are right in them.
func textRemedy(yamlType, text string, tag reflect.StructTag) string {
	example := cmp.Or(tag.Get("example"), tag.Get("default"))
	if example != "" && (yamlType == "!!bool" || !fits(text, tag)) {
		return "write one such as " + example
	}
	return fmt.Sprintf("write it in quotes: %q", text)
}

var patternCache sync.Map // pattern → *regexp.Regexp

// fits says whether a text looks as the field's tag wants it.
func fits(text string, tag reflect.StructTag) bool {
	pattern := tag.Get("pattern")
	compiled, ok := patternCache.Load(pattern)
	if !ok {
		compiled, _ = patternCache.LoadOrStore(pattern, regexp.MustCompile(pattern))
	}
	return compiled.(*regexp.Regexp).MatchString(text)
}

// shown is a value as an error quotes it: short, on one line, nothing invisible.
func shown(text string) string {
	const limit = 60
	runes := []rune(text)
	if len(runes) > limit {
		text = string(runes[:limit]) + "…"
	}
	if text == "" || strings.TrimSpace(text) != text || strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// Words that YAML 1.1 reads as true or false, whichever way they are written.
var (
	yesWords = []string{"true", "yes", "on", "y", "enabled", "1"}
	noWords  = []string{"false", "no", "off", "n", "disabled", "0"}
)

func booleanRemedy(text string) string {
	switch {
	case slices.Contains(yesWords, strings.ToLower(text)):
		return "write true"
	case slices.Contains(noWords, strings.ToLower(text)):
		return "write false"
	}
	return "write true or false"
}

func wordRemedy(text string, enum []string) string {
	if slices.Contains(noWords, strings.ToLower(text)) && slices.Contains(enum, "none") {
		return "write none"
	}
	return didYouMean(text, enum, "word")
}

// unknownField looks among the neighbours first, then in the whole file's
// format: a field that stands in the wrong place is as common as a typo.
func unknownField(name string, neighbours []string, in reflect.Type) string {
	if best := Suggest(name, neighbours); best != "" {
		return "did you mean " + best + "?"
	}
	if in.PkgPath() == reflect.TypeFor[v1alpha1.Cluster]().PkgPath() && in != reflect.TypeFor[v1alpha1.Lock]() && in != reflect.TypeFor[v1alpha1.Facts]() {
		if places := placesOf(name); len(places) > 0 && len(places) <= 3 {
			return "it belongs to " + strings.Join(places, " or ")
		}
	}
	return oneOf(neighbours, "field")
}

// placesOf lists the paths whose last field has this name.
func placesOf(name string) []string {
	var places []string
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		switch t.Kind() {
		case reflect.Pointer:
			walk(t.Elem(), path)
		case reflect.Slice:
			walk(t.Elem(), path+"[]")
		case reflect.Map:
			walk(t.Elem(), path+".*")
		case reflect.Struct:
			for _, f := range fieldsOf(t) {
				if path == "nodes[]" && f.name == "os" {
					continue // the same fields as the cluster's os
				}
				at := join(strings.TrimPrefix(path, "."), f.name)
				if path != "" {
					at = path + "." + f.name
				}
				if f.name == name {
					places = append(places, at)
				}
				walk(t.Field(f.index).Type, at)
			}
		}
	}
	walk(reflect.TypeFor[v1alpha1.Cluster](), "")
	return places
}
