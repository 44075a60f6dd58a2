package secrets

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"go.yaml.in/yaml/v3"
)

const (
	metadataKey = "sops"
	// sopsVersion is written into new files: the SOPS that the format was
	// proved against (tools/sops). SOPS itself only looks for files older than 3.3.
	sopsVersion = "3.13.3"
	// defaultSuffix marks names that SOPS doesn't encrypt unless told otherwise.
	defaultSuffix = "_unencrypted"
)

// metadata is SOPS' own section of the file. Fields that this package doesn't
// know stay in the node as they are.
type metadata struct {
	node              *yaml.Node
	recipients        []wrappedKey
	lastModified, mac string
	unencryptedSuffix string
	macOnlyEncrypted  bool
	foreign           []string // keys of other kinds that open the file, kept
}

// wrappedKey is the data key, encrypted for one recipient.
type wrappedKey struct{ recipient, armored string }

func newMetadata() *metadata {
	m := &metadata{node: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, unencryptedSuffix: defaultSuffix}
	for _, key := range []string{"age", "lastmodified", "mac"} {
		m.node.Content = append(m.node.Content, textNode(key), textNode(""))
	}
	m.put("unencrypted_suffix", textNode(defaultSuffix))
	m.put("version", textNode(sopsVersion))
	return m
}

// foreignKeys are the lists of keys that SOPS opens with other services.
var foreignKeys = []string{"pgp", "kms", "gcp_kms", "azure_kv", "hc_vault", "hckms"}

// ruleFields choose by name or comment which values stay in clear.
var ruleFields = []string{"encrypted_suffix", "encrypted_regex", "unencrypted_regex", "encrypted_comment_regex", "unencrypted_comment_regex"}

func parseMetadata(file string, values *yaml.Node) (*metadata, error) {
	m := &metadata{node: lookup(values, metadataKey)}
	if m.node == nil {
		return nil, fmt.Errorf("%s: has no sops section, so it is cut off or was never encrypted; %s, or encrypt it: sops encrypt --in-place --age RECIPIENT %s", file, restore, file)
	}
	if m.node.Kind != yaml.MappingNode {
		return nil, at(file, m.node.Line, m.node.Column, metadataKey, "not SOPS' section; "+restore)
	}
	var problems []error
	problem := func(node *yaml.Node, field, message string) {
		problems = append(problems, at(file, node.Line, node.Column, metadataKey+"."+field, message))
	}
	text := func(field string) string {
		node := lookup(m.node, field)
		if node == nil || node.Kind != yaml.ScalarNode || node.Value == "" {
			problem(m.node, field, "is missing, so the file is cut off; "+restore)
			return ""
		}
		return node.Value
	}
	for _, field := range ruleFields {
		if node := lookup(m.node, field); node != nil && node.Value != "" {
			problem(node, field, "would leave secrets in clear; remove the rule from .sops.yaml and encrypt the file anew with sops")
		}
	}
	for _, field := range []string{"key_groups", "shamir_threshold"} {
		if node := lookup(m.node, field); node != nil && (len(node.Content) > 0 || node.Kind == yaml.ScalarNode && node.Value != "0") {
			problem(node, field, "keys split between groups are not supported; use one list of age recipients")
		}
	}
	m.unencryptedSuffix = defaultSuffix
	if node := lookup(m.node, "unencrypted_suffix"); node != nil && node.Value != "" {
		m.unencryptedSuffix = node.Value
	}
	if node := lookup(m.node, "mac_only_encrypted"); node != nil {
		m.macOnlyEncrypted = node.Value == "true"
	}
	for _, field := range foreignKeys {
		if node := lookup(m.node, field); node != nil && len(node.Content) > 0 {
			m.foreign = append(m.foreign, field)
		}
	}
	m.mac = text("mac")
	if stamp := text("lastmodified"); stamp != "" {
		parsed, err := time.Parse(time.RFC3339, stamp)
		if err != nil {
			problem(lookup(m.node, "lastmodified"), "lastmodified", "not a time; "+restore)
		}
		m.lastModified = parsed.Format(time.RFC3339)
	}
	list := lookup(m.node, "age")
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		problem(m.node, "age", "no age recipient; add one with sops rotate --add-age, or "+restore)
		return nil, errors.Join(problems...)
	}
	for _, item := range list.Content {
		recipient, enc := lookup(item, "recipient"), lookup(item, "enc")
		if recipient == nil || enc == nil {
			problem(item, "age", "a recipient without its encrypted key; "+restore)
			continue
		}
		m.recipients = append(m.recipients, wrappedKey{recipient.Value, enc.Value})
	}
	return m, errors.Join(problems...)
}

// inClear tells whether SOPS leaves the value of this name unencrypted.
func (m *metadata) inClear(name string) bool { return strings.HasSuffix(name, m.unencryptedSuffix) }

// dataKey opens the key of all values with the first identity that can.
func (m *metadata) dataKey(file string, keyring *Keyring) ([]byte, error) {
	var names []string
	for _, wrapped := range m.recipients {
		names = append(names, wrapped.recipient)
	}
	if len(keyring.identities) == 0 {
		return nil, fmt.Errorf("%s: no age identity found to open it (looked in %s); it opens with the identity of %s; "+
			"if all of them are lost and the cloud still runs, move the file away, and hcchart secrets init takes what the cluster has",
			file, keyring.where(), strings.Join(names, " or "))
	}
	for _, wrapped := range m.recipients {
		reader, err := age.Decrypt(armor.NewReader(strings.NewReader(wrapped.armored)), keyring.identities...)
		var noMatch *age.NoIdentityMatchError
		if errors.As(err, &noMatch) {
			continue
		}
		var key []byte
		if err == nil {
			key, err = io.ReadAll(io.LimitReader(reader, dataKeySize+1))
		}
		if err != nil || len(key) != dataKeySize {
			return nil, fmt.Errorf("%s: sops.age: the key for %s is damaged; %s", file, wrapped.recipient, restore)
		}
		return key, nil
	}
	return nil, fmt.Errorf("%s: none of your age identities opens it (looked in %s); it opens with the identity of %s, name its file in %s",
		file, keyring.where(), strings.Join(names, " or "), envIdentityFile)
}

func (m *metadata) names() []string {
	var names []string
	for _, wrapped := range m.recipients {
		names = append(names, wrapped.recipient)
	}
	return names
}

// addRecipient lets one more identity open the file, and tells whether it was new.
func (m *metadata) addRecipient(recipient string, key []byte) (bool, error) {
	if slices.Contains(m.names(), recipient) {
		return false, nil
	}
	wrapped, err := wrap(recipient, key)
	if err != nil {
		return false, err
	}
	m.recipients = append(m.recipients, wrapped)
	return true, nil
}

// setRecipients wraps a new data key for exactly these recipients.
func (m *metadata) setRecipients(recipients []string, key []byte) error {
	if len(m.foreign) > 0 {
		return fmt.Errorf("the file also opens with %s, which only sops can keep up to date; use sops rotate", strings.Join(m.foreign, ", "))
	}
	if len(recipients) == 0 {
		return errors.New("a file without a recipient could never be opened again; name one")
	}
	m.recipients = nil
	for _, recipient := range recipients {
		if _, err := m.addRecipient(recipient, key); err != nil {
			return err
		}
	}
	return nil
}

// store puts the fields into the YAML node.
func (m *metadata) store() {
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, wrapped := range m.recipients {
		enc := textNode(wrapped.armored)
		enc.Style = yaml.LiteralStyle
		list.Content = append(list.Content, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{
			textNode("recipient"), textNode(wrapped.recipient), textNode("enc"), enc,
		}})
	}
	m.put("age", list)
	m.put("lastmodified", textNode(m.lastModified))
	m.put("mac", textNode(m.mac))
}

func (m *metadata) put(field string, value *yaml.Node) {
	for i := 0; i < len(m.node.Content); i += 2 {
		if m.node.Content[i].Value == field {
			m.node.Content[i+1] = value
			return
		}
	}
	m.node.Content = append(m.node.Content, textNode(field), value)
}

func lookup(mapping *yaml.Node, key string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// wrap encrypts the data key for one recipient.
func wrap(recipient string, key []byte) (wrappedKey, error) {
	parsed, err := parseRecipient(recipient)
	if err != nil {
		return wrappedKey{}, err
	}
	var out bytes.Buffer
	armored := armor.NewWriter(&out)
	writer, err := age.Encrypt(armored, parsed)
	if err == nil {
		_, err = writer.Write(key)
	}
	if err == nil {
		err = errors.Join(writer.Close(), armored.Close())
	}
	if err != nil {
		return wrappedKey{}, fmt.Errorf("encrypt for %s: %w", recipient, err)
	}
	return wrappedKey{recipient, out.String()}, nil
}

func newDataKey() ([]byte, error) {
	key := make([]byte, dataKeySize)
	_, err := rand.Read(key)
	return key, err
}
