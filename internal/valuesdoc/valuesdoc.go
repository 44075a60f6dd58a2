// Package valuesdoc writes the reference of a chart's values from what the chart
// itself says: the comments and defaults in values.yaml, and what
// values.schema.json allows. It understands plain comments, "# -- " as helm-docs
// marks them, and "@param" as Bitnami's charts do.
package valuesdoc

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is one key of a values file.
type value struct {
	path    []string
	node    *yaml.Node
	comment string
	example string // commented-out YAML behind it
	below   []value
}

// opened says whether a value's keys are described one by one.
func (v value) opened() bool {
	return v.node.Kind == yaml.MappingNode && v.node.Style&yaml.FlowStyle == 0 && len(v.node.Content) > 0
}

func (v value) name() string { return join(v.path) }

// join writes a path as Helm's --set wants it.
func join(path []string) string {
	escaped := make([]string, len(path))
	for i, key := range path {
		escaped[i] = strings.ReplaceAll(key, ".", `\.`)
	}
	return strings.Join(escaped, ".")
}

// Empty is the reference of a chart without values.
const Empty = "## Values\n"

// Reference returns the reference in Markdown, a section for each key at the
// top. schema is the text of values.schema.json; nil: there is none.
func Reference(values, schema []byte) (string, error) {
	read, err := parse(values)
	if err != nil {
		return "", err
	}
	s, err := parseSchema(schema)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(Empty)
	for _, v := range read {
		fmt.Fprintf(&b, "\n### `%s`\n", v.name())
		if facts := s.at(v.path).facts(v); facts != nil {
			fmt.Fprintf(&b, "\nDefault: %s\n", strings.Join(facts, "; "))
		}
		if v.comment != "" {
			fmt.Fprintf(&b, "\n%s\n", prose(v.comment))
		}
		describeRest(&b, s, v)
	}
	return b.String(), nil
}

// describeRest writes the example of a value and what is below it.
func describeRest(b *strings.Builder, s *schema, v value) {
	if v.example != "" {
		fmt.Fprintf(b, "\n```yaml\n%s:\n%s\n```\n", v.path[len(v.path)-1], v.example)
	}
	if !v.opened() {
		for _, line := range s.at(v.path).unseen(join(v.path)) {
			fmt.Fprintf(b, "\n%s\n", line)
		}
		return
	}
	for _, inner := range v.below {
		if facts := s.at(inner.path).facts(inner); inner.comment != "" || facts != nil {
			fmt.Fprintf(b, "\n`%s`", inner.name())
			if facts != nil {
				fmt.Fprintf(b, " (%s)", strings.Join(facts, ", "))
			}
			if inner.comment != "" {
				b.WriteString(": " + prose(inner.comment))
			}
			b.WriteString("\n")
		}
		describeRest(b, s, inner)
	}
}

// prose makes one paragraph of a comment's lines, and keeps its paragraphs.
func prose(comment string) string {
	paragraphs := strings.Split(comment, "\n\n")
	for i, paragraph := range paragraphs {
		paragraphs[i] = strings.ReplaceAll(paragraph, "\n", " ")
	}
	return strings.Join(paragraphs, "\n\n")
}

// Gaps are what the reference can't say: keys at the top without a comment, and
// keys that the schema doesn't know.
func Gaps(values, schema []byte) (gaps []string, err error) {
	read, err := parse(values)
	if err != nil {
		return nil, err
	}
	s, err := parseSchema(schema)
	if err != nil {
		return nil, err
	}
	for _, v := range read {
		if v.comment == "" && !slices.ContainsFunc(v.below, func(inner value) bool { return inner.comment != "" }) {
			gaps = append(gaps, v.name()+" has no comment")
		}
	}
	if s != nil {
		gaps = append(gaps, s.unknown(read)...)
	}
	return gaps, nil
}

// parse reads a values file, its comments too.
func parse(text []byte) ([]value, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("values.yaml: %w", err)
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	if document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("values.yaml: is no map")
	}
	values := children(document.Content[0], nil)
	if len(values) > 0 { // the text at the top of the file belongs to the file, not to its first key
		paragraphs := strings.Split(values[0].comment, "\n\n")
		values[0].comment = paragraphs[len(paragraphs)-1]
	}
	apply(values, params(string(text)))
	return values, nil
}

func children(mapping *yaml.Node, at []string) (values []value) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, node := mapping.Content[i], mapping.Content[i+1]
		v := value{path: append(slices.Clone(at), key.Value), node: node, comment: cleaned(key.HeadComment), example: uncommented(key.FootComment)}
		if v.comment == "" {
			v.comment = cleaned(node.LineComment)
		}
		if node.Kind == yaml.MappingNode {
			v.below = children(node, v.path)
		}
		values = append(values, v)
	}
	return values
}

// cleaned is a comment without its signs and without helm-docs' mark, what
// stands above the mark being no part of it.
func cleaned(comment string) string {
	text := uncommented(comment)
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		switch marked, is := strings.CutPrefix(line, "-- "); {
		case is:
			lines = []string{kindMark.ReplaceAllString(marked, "")}
		case strings.HasPrefix(strings.TrimSpace(line), "@"): // another tool's
		default:
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// kindMark is the type that helm-docs lets a comment begin with.
var kindMark = regexp.MustCompile(`^\([a-z]+(/[a-z]+)?\) `)

// uncommented takes the comment signs away; an example keeps its indentation.
func uncommented(comment string) string {
	lines := strings.Split(comment, "\n")
	for i, line := range lines {
		line = strings.TrimLeft(line, "#")
		if !strings.HasPrefix(line, "  ") {
			line = strings.TrimPrefix(line, " ")
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

// params are Bitnami's descriptions, by path: lines such as
// "## @param image.tag [string] The tag".
func params(text string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(text) {
		rest, is := strings.CutPrefix(strings.TrimLeft(strings.TrimSpace(line), "# "), "@param ")
		if !is || !strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		path, description, _ := strings.Cut(rest, " ")
		description = strings.TrimSpace(description)
		if strings.HasPrefix(description, "[") {
			if _, after, closed := strings.Cut(description, "]"); closed {
				description = strings.TrimSpace(after)
			}
		}
		found[path] = description
	}
	return found
}

func apply(values []value, descriptions map[string]string) {
	for i := range values {
		if description, is := descriptions[strings.Join(values[i].path, ".")]; is {
			values[i].comment = description
		}
		apply(values[i].below, descriptions)
	}
}

// shown is a default as it would stand in a values file, in one line.
func shown(node *yaml.Node) string {
	plain := *node
	plain.HeadComment, plain.LineComment, plain.FootComment = "", "", ""
	if plain.Kind == yaml.AliasNode {
		plain = *plain.Alias
	}
	if plain.Tag == "!!null" {
		return "`null`"
	}
	text, err := yaml.Marshal(&plain)
	if err != nil {
		return "…"
	}
	one := strings.TrimSpace(string(text))
	if strings.Contains(one, "\n") {
		var decoded any
		if node.Decode(&decoded) != nil {
			return "…"
		}
		compact, err := json.Marshal(decoded)
		if err != nil {
			return "…"
		}
		one = string(compact)
	}
	if strings.Contains(one, "`") {
		return "`` " + one + " ``"
	}
	return "`" + one + "`"
}
