package secrets

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxSize is far above any family's secrets file and far below what could
// trouble a small machine.
const maxSize = 1 << 20

// document is a secrets file in memory: verified and decrypted. It keeps the
// YAML tree that it was read from, so that what isn't changed is written back
// as it was: comments, the order, and the ciphertext of other values.
type document struct {
	file    string // its name in messages
	tree    *yaml.Node
	values  *yaml.Node // the top-level mapping
	meta    *metadata
	dataKey []byte
	entries []*entry
}

// entry is one secret.
type entry struct {
	name  string
	kind  string
	plain []byte
	node  *yaml.Node
	clear bool // stands unencrypted in the file, as SOPS' suffix rule asks
}

// newDocument is an empty file for the recipients.
func newDocument(file string, recipients []string) (*document, error) {
	values := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	d := &document{
		file:   file,
		tree:   &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{values}},
		values: values,
		meta:   newMetadata(),
	}
	values.Content = append(values.Content, textNode(metadataKey), d.meta.node)
	return d, d.rotate(recipients)
}

// parseDocument reads, decrypts and verifies a file. Every fault that can be
// named is reported with its line.
func parseDocument(file string, input []byte, keyring *Keyring) (*document, error) {
	return readDocument(file, input, func(m *metadata) ([]byte, error) { return m.dataKey(file, keyring) })
}

func readDocument(file string, input []byte, dataKey func(*metadata) ([]byte, error)) (*document, error) {
	tree, err := parseTree(file, input)
	if err != nil {
		return nil, err
	}
	d := &document{file: file, tree: tree, values: tree.Content[0]}
	if err := d.checkShape(); err != nil {
		return nil, err
	}
	if d.meta, err = parseMetadata(file, d.values); err != nil {
		return nil, err
	}
	if d.dataKey, err = dataKey(d.meta); err != nil {
		return nil, err
	}
	if err := d.decrypt(); err != nil {
		return nil, err
	}
	return d, d.verify()
}

var yamlErrorLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// parseTree is the YAML part: one document, one mapping.
func parseTree(file string, input []byte) (*yaml.Node, error) {
	switch {
	case len(input) > maxSize:
		return nil, fmt.Errorf("%s: larger than %d bytes; this is not a secrets file", file, maxSize)
	case len(bytes.TrimSpace(input)) == 0:
		return nil, fmt.Errorf("%s: the file is empty; restore its last good copy, or remove it and run hcchart secrets init", file)
	case !utf8.Valid(input):
		return nil, at(file, lineOf(input, invalidByte(input)), 0, "", "not UTF-8 text; the file is damaged or was saved in another encoding; "+restore)
	}
	// A checkout on Windows turns line ends; YAML reads both, comments would keep them.
	input = bytes.ReplaceAll(input, []byte("\r\n"), []byte("\n"))
	for _, marker := range []string{"<<<<<<< ", ">>>>>>> "} {
		if i := indexLine(input, marker); i >= 0 {
			return nil, at(file, lineOf(input, i), 0, "", "an unresolved merge; take one side of the whole file, then add the other's secrets with hcchart secrets set")
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(input))
	var tree yaml.Node
	if err := decoder.Decode(&tree); err != nil {
		parts := yamlErrorLine.FindStringSubmatch(err.Error())
		if parts == nil { // a comment alone, or nothing YAML can name
			return nil, fmt.Errorf("%s: not a secrets file; %s", file, restore)
		}
		line, _ := strconv.Atoi(parts[1]) // absent: 0, no line is printed
		return nil, at(file, line, 0, "", parts[2]+"; "+restore)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one YAML document; keep one", file)
	}
	if len(tree.Content) != 1 || tree.Content[0].Kind != yaml.MappingNode {
		return nil, at(file, 1, 1, "", "not a map of names to values; "+restore)
	}
	return &tree, nil
}

// checkShape refuses what this package would not write back faithfully.
func (d *document) checkShape() error {
	var problems []error
	seen := map[string]int{}
	for i := 0; i < len(d.values.Content); i += 2 {
		key, value := d.values.Content[i], d.values.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			problems = append(problems, at(d.file, key.Line, key.Column, "", "a secret's name must be plain text; put it in quotes with sops, or remove the line"))
			continue
		case seen[key.Value] > 0:
			problems = append(problems, at(d.file, key.Line, key.Column, key.Value, fmt.Sprintf("written twice, first on line %d; keep one", seen[key.Value])))
			continue
		}
		seen[key.Value] = key.Line
		if key.Value == metadataKey {
			continue
		}
		if value.Kind != yaml.ScalarNode || value.Anchor != "" || key.Anchor != "" {
			problems = append(problems, at(d.file, value.Line, value.Column, key.Value, "not one plain value; the file is a flat map without anchors, write `parent.child` as one name"))
		}
	}
	return errors.Join(problems...)
}

// decrypt opens every value.
func (d *document) decrypt() error {
	var problems []error
	for i := 0; i < len(d.values.Content); i += 2 {
		key, value := d.values.Content[i], d.values.Content[i+1]
		if key.Value == metadataKey {
			continue
		}
		e, err := d.open(key.Value, value)
		if err != nil {
			problems = append(problems, at(d.file, value.Line, value.Column, key.Value, err.Error()))
			continue
		}
		d.entries = append(d.entries, e)
	}
	return errors.Join(problems...)
}

func (d *document) open(name string, node *yaml.Node) (*entry, error) {
	e := &entry{name: name, node: node}
	if node.ShortTag() == "!!null" {
		e.kind = kindNull
		return e, nil
	}
	if d.meta.inClear(name) {
		e.clear = true
		var err error
		e.plain, e.kind, err = plainScalar(node)
		return e, err
	}
	var err error
	e.plain, e.kind, err = unseal(d.dataKey, node.Value, contextOf(name))
	switch {
	case errors.Is(err, errNotEncrypted):
		return nil, fmt.Errorf("the value is not encrypted, or was cut off; %s, then write the value with hcchart secrets set (never with a plain editor)", restore)
	case err != nil:
		return nil, fmt.Errorf("the value was changed, or belongs to another name; %s", restore)
	case e.kind == kindComment:
		return nil, errors.New("holds a comment instead of a value; remove the line with sops")
	}
	return e, nil
}

// verify compares the message authentication code: it finds entries that were
// removed, added or put in another order.
func (d *document) verify() error {
	want, _, err := unseal(d.dataKey, d.meta.mac, d.meta.lastModified)
	if err != nil || string(want) != d.computeMAC() {
		return fmt.Errorf("%s: the values do not fit the file's authentication code: an entry was added, removed or replaced without the key, or the file is half of two versions; %s", d.file, restore)
	}
	return nil
}

// macOnlyEncryptedStart sets apart the code of files whose unencrypted values
// are not covered; the bytes are SOPS'.
var macOnlyEncryptedStart = []byte{
	0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0xb,
	0xb, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
}

// computeMAC hashes all values in the order of the file.
func (d *document) computeMAC() string {
	hash := sha512.New()
	if d.meta.macOnlyEncrypted {
		hash.Write(macOnlyEncryptedStart)
	}
	for _, e := range d.entries {
		if !e.clear || !d.meta.macOnlyEncrypted {
			hash.Write(e.plain)
		}
	}
	return fmt.Sprintf("%X", hash.Sum(nil))
}

func (d *document) find(name string) *entry {
	for _, e := range d.entries {
		if e.name == name {
			return e
		}
	}
	return nil
}

// set writes one value; a new name goes to the end, before SOPS' section where
// that is the last.
func (d *document) set(name string, plain []byte) error {
	if d.meta.inClear(name) {
		return fmt.Errorf("%s: %s: its name ends in %q, which SOPS leaves unencrypted; choose another name", d.file, name, d.meta.unencryptedSuffix)
	}
	sealed, err := seal(d.dataKey, plain, kindString, contextOf(name))
	if err != nil {
		return err
	}
	e := d.find(name)
	if e == nil {
		e = &entry{name: name, node: &yaml.Node{}}
		// The order is the one that the authentication code covers.
		end := len(d.values.Content)
		if end >= 2 && d.values.Content[end-2].Value == metadataKey {
			end -= 2
		}
		d.values.Content = slices.Insert(d.values.Content, end, textNode(name), e.node)
		d.entries = append(d.entries, e)
	}
	e.kind, e.plain = kindString, plain
	setText(e.node, sealed)
	return nil
}

// unset removes one value, with the comments on its line.
func (d *document) unset(name string) {
	d.entries = slices.DeleteFunc(d.entries, func(e *entry) bool { return e.name == name })
	for i := 0; i < len(d.values.Content); i += 2 {
		if d.values.Content[i].Value == name {
			d.values.Content = slices.Delete(d.values.Content, i, i+2)
			return
		}
	}
}

// rotate makes a new data key for the recipients and encrypts everything with
// it, comments included.
func (d *document) rotate(recipients []string) error {
	old := d.dataKey
	key, err := newDataKey()
	if err != nil {
		return err
	}
	if err := d.meta.setRecipients(recipients, key); err != nil {
		return fmt.Errorf("%s: %w", d.file, err)
	}
	d.dataKey = key
	for _, e := range d.entries {
		if e.clear || e.kind == kindNull {
			continue
		}
		sealed, err := seal(key, e.plain, e.kind, contextOf(e.name))
		if err != nil {
			return err
		}
		setText(e.node, sealed)
	}
	for _, node := range append([]*yaml.Node{d.tree, d.values}, d.values.Content...) {
		for _, comment := range []*string{&node.HeadComment, &node.LineComment, &node.FootComment} {
			if *comment, err = reseal(*comment, old, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// reseal encrypts the encrypted lines of a comment with another key. Lines
// that aren't encrypted stay.
func reseal(comment string, old, key []byte) (string, error) {
	lines := strings.Split(comment, "\n")
	for i, line := range lines {
		plain, kind, err := unseal(old, strings.TrimPrefix(line, "#"), commentContext)
		if err != nil || line == "" || kind != kindComment {
			continue
		}
		sealed, err := seal(key, plain, kind, commentContext)
		if err != nil {
			return "", err
		}
		lines[i] = "#" + sealed
	}
	return strings.Join(lines, "\n"), nil
}

// encode gives the file's bytes, stamped now, and proves that they read back
// as the same secrets before anybody writes them over the old ones.
func (d *document) encode(now time.Time) ([]byte, error) {
	d.meta.lastModified = now.UTC().Format(time.RFC3339)
	mac, err := seal(d.dataKey, []byte(d.computeMAC()), kindString, d.meta.lastModified)
	if err != nil {
		return nil, err
	}
	d.meta.mac = mac
	d.meta.store()

	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(4) // as SOPS does, so that the two don't rewrite each other's lines
	if err := errors.Join(encoder.Encode(d.tree), encoder.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", d.file, err)
	}
	again, err := readDocument(d.file, out.Bytes(), func(*metadata) ([]byte, error) { return d.dataKey, nil })
	if err != nil {
		return nil, fmt.Errorf("not written, it would not read back: %w", err)
	}
	for i, e := range d.entries {
		if len(again.entries) != len(d.entries) || again.entries[i].name != e.name || !bytes.Equal(again.entries[i].plain, e.plain) {
			return nil, fmt.Errorf("%s: not written, %s would not read back as it is", d.file, e.name)
		}
	}
	return out.Bytes(), nil
}

// plainScalar gives SOPS' bytes of a value that stands unencrypted.
func plainScalar(node *yaml.Node) (plain []byte, kind string, err error) {
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, "", errors.New("not a value that SOPS knows; put it in quotes")
	}
	switch value := value.(type) {
	case string:
		return []byte(value), kindString, nil
	case int:
		return strconv.AppendInt(nil, int64(value), 10), "int", nil
	case float64:
		return strconv.AppendFloat(nil, value, 'f', -1, 64), "float", nil
	case bool:
		if value {
			return []byte("True"), "bool", nil
		}
		return []byte("False"), "bool", nil
	case time.Time:
		text, err := value.MarshalText()
		return text, "time", err
	}
	return nil, "", errors.New("not a value that SOPS knows; put it in quotes")
}

func textNode(text string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(text)
	return node
}

// setText changes a value and keeps its comments.
func setText(node *yaml.Node, text string) {
	node.SetString(text)
	if !strings.Contains(text, "\n") {
		node.Style = 0
	}
}

const restore = "restore the file's last good copy (git checkout, a backup)"

// at is a message with its place: FILE:LINE:COLUMN: name: what is wrong.
func at(file string, line, column int, name, message string) error {
	place := file
	if line > 0 {
		place += ":" + strconv.Itoa(line)
	}
	if column > 0 {
		place += ":" + strconv.Itoa(column)
	}
	if name != "" {
		place += ": " + name
	}
	return fmt.Errorf("%s: %s", place, message)
}

func indexLine(input []byte, prefix string) int {
	if bytes.HasPrefix(input, []byte(prefix)) {
		return 0
	}
	if i := bytes.Index(input, []byte("\n"+prefix)); i >= 0 {
		return i + 1
	}
	return -1
}

func lineOf(input []byte, offset int) int { return 1 + bytes.Count(input[:offset], []byte("\n")) }

func invalidByte(input []byte) int {
	for i := 0; i < len(input); {
		r, size := utf8.DecodeRune(input[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return 0
}
