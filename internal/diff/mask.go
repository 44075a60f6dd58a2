package diff

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// mask hides secret values behind a hash with a key that nobody knows and that
// ends with the run: what changes can be seen, what it is can't be guessed.
type mask struct{ key []byte }

func newMask() *mask {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return &mask{key}
}

// secretNames are names of fields and variables whose values are secret
// wherever they stand.
var secretNames = regexp.MustCompile(`(?i)(passw|passphrase|secret|token|credential|private|api_?key|auth)`)

// field masks the values of a field where they are secret.
func (m *mask) field(kind string, f *Field) {
	in := kind == "Secret" && (strings.HasPrefix(f.Path, "data") || strings.HasPrefix(f.Path, "stringData"))
	f.Before, f.After = m.value(f.Path, f.Before, in), m.value(f.Path, f.After, in)
}

// value masks the leaves of a value that are secret; all says that they all are.
func (m *mask) value(path string, value any, all bool) any {
	switch v := value.(type) {
	case nil, bool, int64, int, float64:
		if !all {
			return v
		}
		if v == nil {
			return nil
		}
		return m.hash(v)
	case map[string]any:
		masked := make(map[string]any, len(v))
		name, _ := v["name"].(string)
		for key, inner := range v {
			secret := all || key == "value" && secretNames.MatchString(name)
			masked[key] = m.value(join(path, key), inner, secret)
		}
		return masked
	case []any:
		masked := make([]any, len(v))
		for i, inner := range v {
			masked[i] = m.value(path, inner, all)
		}
		return masked
	case string:
		if all || secretNames.MatchString(variable(path)) {
			return m.hash(v)
		}
		return v
	}
	return m.hash(value)
}

var entryName = regexp.MustCompile(`\[name=([^\]]*)\]\.value$`)

// variable is the name of the environment variable whose value a path leads
// to, or the last field of the path when it is one that keeps text.
func variable(path string) string {
	if m := entryName.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	if rest, is := strings.CutPrefix(path, "data"); is { // of a ConfigMap
		return rest
	}
	return ""
}

func (m *mask) hash(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		text = fmt.Append(nil, value)
	}
	sum := hmac.New(sha256.New, m.key)
	sum.Write(text)
	return fmt.Sprintf("secret %x", sum.Sum(nil)[:4])
}
