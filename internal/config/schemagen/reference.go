package schemagen

import (
	"bytes"
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// Reference describes every field of the type root in Markdown, for people:
// one table for the fields that stand alone, and one for each block. unbuilt
// says whether a value of a field is refused because nothing builds it yet, inert
// whether a field has no effect.
func Reference(directory, root string, unbuilt func(path string, value any) bool, inert func(path string) bool) ([]byte, error) {
	g, err := read(directory)
	if err != nil {
		return nil, err
	}
	blocks, err := g.properties(root)
	if err != nil {
		return nil, err
	}
	r := &reference{generator: g, unbuilt: unbuilt, inert: inert, described: map[string]string{}}
	r.text.WriteString(referenceIntroduction)
	header := slices.IndexFunc(blocks, func(p property) bool { return g.isBlock(p) })
	r.table()
	for _, p := range blocks[:header] {
		r.row(p.name, p, false)
	}
	for _, p := range blocks[header:] {
		fmt.Fprintf(&r.text, "\n## %s\n\n%s\n", p.name, escape(p.description))
		if p.required() {
			fmt.Fprintf(&r.text, "Required.\n")
		}
		r.table()
		if err := r.fields(p.name, p, false); err != nil {
			return nil, err
		}
	}
	return r.text.Bytes(), nil
}

const referenceIntroduction = `# Cluster file

Generated from the types of the file by ` + "`go generate ./internal/config`" + `.

` + "`homecloud.yaml`" + ` says what the cloud is. Start from an example and change it: [one board](../../examples/one-board.yaml) is
all that must be written, [two boards](../../examples/two-boards.yaml) have an address that moves,
[three boards](../../examples/three-boards.yaml) survive the loss of one, and [paper](../../examples/paper.yaml) is a
home with a phone, a laptop and a console. ` + "`hcchart init`" + ` writes one too, and ` + "`hcchart validate`" + ` checks it, also the rules
between fields. Editors complete and check with the [schema](hcchart.md#hcchart-schema):
` + "`hcchart schema > homecloud.schema.json`" + `, which also holds the exact pattern of each text.

In a field's path, ` + "`[]`" + ` is each entry of a list and ` + "`*`" + ` each name that you choose. What is *not built yet* is refused
when it is switched on, never ignored. What has *no effect yet* is checked, and ` + "`hcchart validate`" + ` notes it: fields for
hostprep, and what only services will read.

## Header
`

type reference struct {
	*generator
	unbuilt   func(path string, value any) bool
	inert     func(path string) bool
	described map[string]string // the path where the fields of a type are listed
	text      bytes.Buffer
}

func (r *reference) table() {
	r.text.WriteString("\n| field | what to write | default | meaning |\n|---|---|---|---|\n")
}

// fields writes a row for each field below the path. Fields that stand
// elsewhere already are referred to.
func (r *reference) fields(path string, of property, unbuilt bool) error {
	suffix, name := inner(of.of)
	path += suffix
	r.described[name] = path
	fields, err := r.properties(name)
	if err != nil {
		return err
	}
	for _, p := range fields {
		at := path + "." + p.name
		refused := r.row(at, p, unbuilt)
		if _, below := inner(p.of); !r.isBlock(p) || r.described[below] != "" {
			continue
		}
		if err := r.fields(at, p, refused); err != nil {
			return err
		}
	}
	return nil
}

// row writes the row of a field, and says whether nothing builds the field yet.
func (r *reference) row(path string, p property, unbuilt bool) bool {
	meaning, byDefault, _ := strings.Cut(p.description, "Default: ")
	meaning, byDefault = strings.TrimSpace(meaning), strings.TrimSuffix(byDefault, ".")
	if constant, ok := p.tag.Lookup("default"); ok {
		byDefault = code(constant)
	} else {
		byDefault = escape(byDefault)
	}
	if p.required() {
		byDefault = "**required**"
	}
	write := format(p.schema)
	_, name := inner(p.of)
	if r.described[name] != "" {
		write = "the fields of " + code(r.described[name])
	}
	meaning = escape(meaning)
	if alternatives := oneOf(r.types[name].doc); len(alternatives) > 0 {
		var fields []string
		for _, alternative := range alternatives {
			fields = append(fields, code(alternative["required"].([]string)[0]))
		}
		meaning += " Each has exactly one of " + list(fields, "and") + "."
	}
	refused, all := refusals(path, p.schema, r.unbuilt)
	switch unbuilt = unbuilt || all; {
	case unbuilt:
		meaning += " *Not built yet.*"
	case len(refused) == 1:
		meaning += " *" + refused[0] + " is not built yet.*"
	case len(refused) > 1:
		meaning += " *" + list(refused, "and") + " are not built yet.*"
	}
	if r.inert(path) {
		meaning += " *No effect yet.*"
	}
	fmt.Fprintf(&r.text, "| %s | %s | %s | %s |\n", code(path), write, byDefault, meaning)
	return unbuilt
}

// refusals are the values of a field that nothing builds yet: some, or all
// that switch it on.
func refusals(path string, schema object, unbuilt func(string, any) bool) (some []string, all bool) {
	words, _ := schema["enum"].([]string)
	switch {
	case words != nil:
		for _, word := range words {
			if unbuilt(path, word) {
				some = append(some, code(word))
			}
		}
		return some, false
	case schema["type"] == "integer":
		for _, bound := range []string{"minimum", "maximum"} {
			if number, ok := schema[bound].(int); ok && unbuilt(path, number) {
				some = append(some, code(fmt.Sprint(number)))
			}
		}
		return some, false
	case schema["type"] == "array":
		if unbuilt(path, []any{nil}) {
			return nil, true
		}
		return refusals(path+"[]", schema["items"].(object), unbuilt)
	case schema["type"] == "boolean":
		return nil, unbuilt(path, true)
	}
	return nil, unbuilt(path, "anything")
}

// format says what to write for a value of this schema.
func format(schema object) string {
	if words, ok := schema["enum"].([]string); ok {
		quoted := make([]string, len(words))
		for i, word := range words {
			quoted[i] = code(word)
		}
		return list(quoted, "or")
	}
	if schema["anyOf"] != nil {
		return "number or " + code("forever")
	}
	var text string
	switch schema["type"] {
	case "array":
		if items := format(schema["items"].(object)); items != "fields" {
			return "list of: " + items
		}
		return "list"
	case "object":
		return "by name: " + format(schema["additionalProperties"].(object))
	case "boolean":
		return code("true") + " or " + code("false")
	case "integer":
		if low, ok := schema["minimum"]; ok {
			return fmt.Sprintf("number, %d to %d", low, schema["maximum"])
		}
		return "number"
	case "string":
		text = "text"
	default:
		switch {
		case schema["$ref"] != nil:
			return "fields"
		case len(schema) == 0:
			return "anything"
		}
		text = "amount"
	}
	if examples, ok := schema["examples"].([]string); ok {
		text += ", such as " + code(examples[0])
	}
	return text
}

// inner is the type of a field's innermost value, and what leads to it.
func inner(expression ast.Expr) (suffix, name string) {
	switch t := expression.(type) {
	case *ast.StarExpr:
		return inner(t.X)
	case *ast.ArrayType:
		suffix, name = inner(t.Elt)
		return "[]" + suffix, name
	case *ast.MapType:
		suffix, name = inner(t.Value)
		return ".*" + suffix, name
	case *ast.Ident:
		return "", t.Name
	}
	return "", ""
}

// isBlock says whether a field holds fields.
func (g *generator) isBlock(p property) bool {
	_, name := inner(p.of)
	_, ok := g.types[name]
	return ok
}

func list(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}

func code(text string) string { return "`" + strings.ReplaceAll(text, "|", `\|`) + "`" }

// escape keeps a sentence as it is in a table of Markdown.
func escape(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`).Replace(text)
}
