package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// sizeLimit is ten times what a large home writes, and keeps hostile input from
// costing more than a second.
const sizeLimit = 256 << 10

// document is one file while it is read: where its fields stand, what is wrong
// with them.
type document struct {
	file     string
	unmade   string // what to do when it is empty
	root     *yaml.Node
	values   map[string]*yaml.Node // by path, of what the file wrote
	keys     map[string]*yaml.Node
	findings []Finding
	// broken are the paths whose value could not be used: rules about them
	// would only repeat the first error in other words.
	broken map[string]bool
}

func newDocument(file, unmade string) *document {
	return &document{
		file:   FileName(file),
		unmade: unmade,
		values: map[string]*yaml.Node{},
		keys:   map[string]*yaml.Node{},
		broken: map[string]bool{},
	}
}

// FileName is how a file is called in findings; "-" is standard input.
func FileName(path string) string {
	if path == "-" {
		return "<stdin>"
	}
	return path
}

// at reports a problem of the file as text, where there are no paths yet.
func (d *document) at(line, column int, problem, remedy string) {
	d.findings = append(d.findings, Finding{
		File: d.file, Line: line, Column: column, Problem: problem, Remedy: remedy,
	})
}

// parse turns text into the root mapping, or reports why it can't.
func (d *document) parse(content []byte) (ok bool) {
	if len(content) > sizeLimit {
		d.at(1, 1, fmt.Sprintf("the file is larger than the %d bytes that are read", sizeLimit), "is it the right file?")
		return false
	}
	if !d.isText(content) {
		return false
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var root yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		d.at(1, 1, "the file is empty", d.unmade)
		return false
	case err != nil:
		d.syntax(content, err)
		return false
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case err == nil:
		d.at(second.Line, second.Column, "a second document begins here", "write one document per file, remove the line with ---")
		return false
	case !errors.Is(err, io.EOF):
		d.syntax(content, err)
		return false
	}
	d.root = root.Content[0]
	switch {
	case d.root.Kind == yaml.ScalarNode && d.root.ShortTag() == "!!null":
		d.at(1, 1, "the file is empty", d.unmade)
		return false
	case d.root.Kind != yaml.MappingNode:
		d.at(d.root.Line, d.root.Column, "the file holds "+kindOf(d.root)+" instead of fields", "begin with apiVersion: …")
		return false
	}
	return true
}

// isText refuses what YAML would take for other characters or not take at all.
func (d *document) isText(content []byte) bool {
	line, column := 1, 1
	for rest := content; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			d.at(line, column, "a byte here is not UTF-8", "save the file as UTF-8")
			return false
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r == 0x7f:
			d.at(line, column, fmt.Sprintf("a control character (U+%04X) stands here", r), "remove it")
			return false
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		rest = rest[size:]
	}
	return true
}

var (
	syntaxError  = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)$`)
	unknownAlias = regexp.MustCompile(`unknown anchor '([^']*)' referenced`)
)

// remedies of what the YAML parser says, by a part of its message.
var syntaxRemedies = []struct{ message, remedy string }{
	{"mapping values are not allowed", "indent the line as its neighbours are, or quote a text that holds a colon"},
	{"did not find expected key", "indent the line as its neighbours are"},
	{"did not find expected '-' indicator", "indent the list's entries alike"},
	{"did not find expected ',' or '}'", "close the { or add the missing comma"},
	{"did not find expected ',' or ']'", "close the [ or add the missing comma"},
	{"found unexpected end of stream", "close the quotation mark"},
	{"block sequence entries are not allowed", "put the list on lines of its own"},
	{"exceeded max depth", "write it flatter"},
}

func (d *document) syntax(content []byte, err error) {
	match := syntaxError.FindStringSubmatch(err.Error())
	if match == nil {
		d.at(1, 1, err.Error(), "")
		return
	}
	lines := strings.Split(string(content), "\n")
	line, _ := strconv.Atoi(match[1])
	line = max(line, 1, firstBroken(lines, match[2]))
	// The parser notices a tab late; the line before is where it may stand.
	for _, candidate := range []int{line, line - 1, line + 1} {
		if candidate < 1 || candidate > len(lines) {
			continue
		}
		text := lines[candidate-1]
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 && len(indent) < len(text) {
			d.at(candidate, tab+1, "the line is indented with a tab", "write spaces")
			return
		}
	}
	if alias := unknownAlias.FindStringSubmatch(match[2]); alias != nil {
		for i, text := range lines {
			if column := strings.Index(text, "*"+alias[1]); column >= 0 {
				d.at(i+1, column+1, "*"+alias[1]+" refers to nothing, a text that begins with * needs quotes", "write the value itself")
				return
			}
		}
	}
	remedy := "see the lines around it"
	for _, known := range syntaxRemedies {
		if strings.Contains(match[2], known.message) {
			remedy = known.remedy
		}
	}
	d.at(line, 1, "not YAML: "+match[2], remedy)
}

// firstBroken is the number of lines after which the parser gives up with this
// message. The parser itself often names the line where a list or a mapping
// began, far above.
func firstBroken(lines []string, message string) int {
	return 1 + sort.Search(len(lines)-1, func(n int) bool {
		decoder := yaml.NewDecoder(strings.NewReader(strings.Join(lines[:n+1], "\n") + "\n"))
		for {
			var node yaml.Node
			if err := decoder.Decode(&node); err != nil {
				return strings.Contains(err.Error(), message)
			}
		}
	})
}

// kindOf says what a node is, for a person.
func kindOf(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "fields"
	case yaml.SequenceNode:
		return "a list"
	}
	switch node.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	}
	return "a text"
}
