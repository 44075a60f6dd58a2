package secrets

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	kubeyaml "sigs.k8s.io/yaml"
)

// encryptedFields is SOPS' rule for a Secret in a Git repository: kustomize
// reads kinds and names before anything is decrypted.
const encryptedFields = "^data$"

// EncryptManifest gives a Secret as a file for a Git repository: what stands
// below data is encrypted in SOPS' format for the recipients. Each call gives
// other bytes; HoldsManifest tells whether an earlier file still serves.
func EncryptManifest(secret *corev1.Secret, recipients []string) ([]byte, error) {
	root, err := manifestNode(secret)
	if err != nil {
		return nil, err
	}
	key, err := newDataKey()
	if err != nil {
		return nil, err
	}
	m := &metadata{node: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}}
	for _, field := range []string{"age", "lastmodified", "mac"} {
		m.put(field, textNode(""))
	}
	m.put("encrypted_regex", textNode(encryptedFields))
	m.put("version", textNode(sopsVersion))
	if err := m.setRecipients(recipients, key); err != nil {
		return nil, fmt.Errorf("encrypt the Secret %s: %w", secret.Name, err)
	}
	m.lastModified = time.Now().UTC().Format(time.RFC3339)
	if m.mac, err = seal(key, []byte(manifestMAC(root)), kindString, m.lastModified); err != nil {
		return nil, err
	}
	err = eachValue(root, "", func(place string, value *yaml.Node) error {
		if !isEncrypted(place) {
			return nil
		}
		sealed, err := seal(key, []byte(value.Value), kindString, place)
		if err == nil {
			setText(value, sealed)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	m.store()
	root.Content = append(root.Content, textNode(metadataKey), m.node)
	text, err := yaml.Marshal(root)
	if err != nil {
		return nil, err
	}
	if !HoldsManifest(text, secret, recipients) && FindKeyring().opensFor(recipients) {
		return nil, fmt.Errorf("the Secret %s would not read back as it is; nothing was written", secret.Name)
	}
	return text, nil
}

// HoldsManifest tells whether a file that EncryptManifest made, perhaps long
// ago, holds this Secret for exactly these recipients. A file that doesn't open
// here, or was changed without the key, doesn't.
func HoldsManifest(content []byte, secret *corev1.Secret, recipients []string) bool {
	want, err := manifestNode(secret)
	if err != nil {
		return false
	}
	got, opensFor, err := openManifest(content)
	return err == nil && slices.Equal(opensFor, recipients) && reflect.DeepEqual(plain(want), plain(got))
}

// openManifest decrypts and verifies a file of EncryptManifest.
func openManifest(content []byte) (root *yaml.Node, recipients []string, err error) {
	const file = "manifest" // for messages that nobody sees
	tree, err := parseTree(file, content)
	if err != nil {
		return nil, nil, err
	}
	root = tree.Content[0]
	section := lookup(root, metadataKey)
	list, stamp, mac := lookup(section, "age"), lookup(section, "lastmodified"), lookup(section, "mac")
	if list == nil || stamp == nil || mac == nil {
		return nil, nil, errNotEncrypted
	}
	m := &metadata{}
	for _, item := range list.Content {
		recipient, enc := lookup(item, "recipient"), lookup(item, "enc")
		if recipient == nil || enc == nil {
			return nil, nil, errNotEncrypted
		}
		m.recipients = append(m.recipients, wrappedKey{recipient.Value, enc.Value})
	}
	key, err := m.dataKey(file, FindKeyring())
	if err != nil {
		return nil, nil, err
	}
	root.Content = slices.DeleteFunc(root.Content, func(node *yaml.Node) bool { return node == section || node.Value == metadataKey })
	err = eachValue(root, "", func(place string, value *yaml.Node) error {
		if !isEncrypted(place) {
			return nil
		}
		opened, _, err := unseal(key, value.Value, place)
		setText(value, string(opened))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	sum, _, err := unseal(key, mac.Value, stamp.Value)
	if err == nil && string(sum) != manifestMAC(root) {
		err = errors.New("the values do not fit the authentication code")
	}
	return root, m.names(), err
}

// manifestNode is the Secret as YAML, in clear, in memory alone.
func manifestNode(secret *corev1.Secret) (*yaml.Node, error) {
	text, err := kubeyaml.Marshal(secret)
	if err != nil {
		return nil, err
	}
	tree, err := parseTree("Secret "+secret.Name, text)
	if err != nil {
		return nil, err
	}
	return tree.Content[0], nil
}

// manifestMAC is SOPS' code over all values in their order, those in clear too.
func manifestMAC(root *yaml.Node) string {
	hash := sha512.New()
	_ = eachValue(root, "", func(_ string, value *yaml.Node) error {
		hash.Write([]byte(value.Value))
		return nil
	})
	return fmt.Sprintf("%X", hash.Sum(nil))
}

// eachValue visits the values below a node with SOPS' additional data for each:
// the parts of its path, each followed by a colon. A Secret has texts only.
func eachValue(node *yaml.Node, place string, visit func(place string, value *yaml.Node) error) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		below := place + key.Value + ":"
		var err error
		switch value.Kind {
		case yaml.ScalarNode:
			err = visit(below, value)
		case yaml.MappingNode:
			err = eachValue(value, below, visit)
		default:
			err = fmt.Errorf("%s no text", strings.TrimSuffix(below, ":"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func isEncrypted(place string) bool { return strings.HasPrefix(place, "data:") }

func plain(root *yaml.Node) (values map[string]any) {
	if root.Decode(&values) != nil {
		return nil
	}
	return values
}
