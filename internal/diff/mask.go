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

// secrecy is how far a value is secret.
type secrecy int

const (
	open   secrecy = iota // what is inside of it may be
	named                 // it stands below a name that reads like a secret's
	always                // whatever it is
)

// object is an object without secrets. What is judged and shown is made of it:
// what isn't there can't be told.
func (m *mask) object(object map[string]any) map[string]any {
	if object == nil {
		return nil
	}
	hidden := map[any][]string{"Secret": {"data", "stringData"}, "ConfigMap": {"binaryData"}}[object["kind"]]
	masked := make(map[string]any, len(object))
	for key, value := range object {
		how := open
		for _, field := range hidden {
			if key == field {
				how = always
			}
		}
		masked[key] = m.value(value, how.below(key))
	}
	return masked
}

// refused is what an API server quotes of what it refuses, up to the reason.
var refused = regexp.MustCompile(`(?s)((?:Invalid|Unsupported|Duplicate) value: )(?:.*: |.*$)`)

// refusal is what an API server says of a change, without secrets.
func (m *mask) refusal(text string) string {
	return m.text(refused.ReplaceAllString(text, "${1}…: "))
}

// below is the secrecy of what a field holds.
func (s secrecy) below(field string) secrecy {
	switch words := words(field); {
	case s == always:
		return always
	case referring.MatchString(words):
		return open
	case s == named || secretWords.MatchString(words):
		return named
	}
	return open
}

// value masks the leaves of a value that are secret.
func (m *mask) value(value any, how secrecy) any {
	switch v := value.(type) {
	case nil:
		return nil
	case bool:
		if how == always {
			return m.hash(v)
		}
		return v
	case string:
		switch how {
		case always:
			return m.hash(v)
		case named:
			return m.rest(v)
		}
		return m.text(v)
	case map[string]any:
		return m.fields(v, how)
	case []any:
		return m.list(v, how, "")
	}
	if how == open {
		return value
	}
	return m.hash(value)
}

func (m *mask) fields(fields map[string]any, how secrecy) map[string]any {
	masked := make(map[string]any, len(fields))
	name, _ := fields["name"].(string)
	if how == named && (fields["secretName"] != nil || name != "" && fields["items"] != nil) { // a volume that is a Secret
		how = open
	}
	if name == "" {
		name, _ = fields["key"].(string)
	}
	for key, value := range fields {
		if list, is := value.([]any); is && key == "args" { // what they mean says the command
			masked[key] = m.list(list, how.below(key), fmt.Sprint(fields["command"]))
			continue
		}
		inner := how.below(key)
		if key == "value" && name != "" { // of a variable, a header
			inner = max(inner, how.below(name))
		}
		masked[key] = m.value(value, inner)
	}
	return masked
}

// list masks the entries of a list. Of arguments, a flag says what the next one
// is, and so does the command.
func (m *mask) list(list []any, how secrecy, command string) []any {
	masked := make([]any, len(list))
	flag := ""
	for i, entry := range list {
		text, isText := entry.(string)
		inner := how
		if isText && flag != "" && secretFlag(flag, command) {
			inner = max(inner, named)
		}
		if flag = ""; isText && strings.HasPrefix(text, "-") && !strings.ContainsAny(text, "= ") {
			flag = text
		}
		masked[i] = m.value(entry, inner)
		if glued := shortFlag.FindString(text); inner == open && glued != "" && logsIn.MatchString(command) { // mysql, -pPASSWORD
			masked[i] = glued + m.rest(text[len(glued):])
		}
		command += " " + text
	}
	return masked
}

// rest masks a text unless it tells that it is no secret.
func (m *mask) rest(text string) string {
	if telling.MatchString(text) {
		return text
	}
	return m.hash(text)
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

var (
	lowerUpper  = regexp.MustCompile(`([a-z])([A-Z0-9])`)
	upperTitle  = regexp.MustCompile(`([A-Z])([A-Z][a-z])`)
	nothingSaid = regexp.MustCompile(`[^A-Za-z0-9]+`)
)

// words are those of a name, such as "db password" of DB_PASSWORD, db.password
// and dbPassword.
func words(name string) string {
	name = upperTitle.ReplaceAllString(lowerUpper.ReplaceAllString(name, "$1 $2"), "$1 $2")
	return strings.ToLower(strings.TrimSpace(nothingSaid.ReplaceAllString(name, " ")))
}

var (
	// secretWords are in the names of what is secret.
	secretWords = regexp.MustCompile(`passw|passphrase|secret|token|credential|apikey|accesskey|privatekey|` +
		`\b(pass|\w*pwd|pw|pgpass|dbpass|rootpass|userpass|sshpass|pin|otp|psk|jwt|creds?|bearer|cookies?|private|` +
		`auths?|oauth|passe|kennwort|requirepass|authentication|authorization|htpasswd|kubeconfig|` +
		`(api|access|auth|encryption|encrypt|signing|sign|master|shared|account|license|session|storage|ssh|tls|host|server|client|root|admin|service|app|application) keys?)\b`)
	// referring are names of fields that say where a secret is, or of what sort.
	referring = regexp.MustCompile(`\b(names?|namespace|refs?|file|path|dir|type|kind|class|policy|mode|ttl|timeout|seconds)$`)
	// telling are values that are no secret: a choice, or where the value comes from.
	telling = regexp.MustCompile(`^(?i:true|false|yes|no|on|off|null|none|\$\([A-Za-z_]\w*\)|\$\{[A-Za-z_]\w*\}|[\[\]{}(),;]*)$`)
	// logsIn are programs that take a password by a short flag.
	logsIn    = regexp.MustCompile(`(?i)\b(login|sshpass|mysql\w*|mariadb\w*|mongo\w*|redis-cli|valkey-cli|ldap\w+)\b`)
	shortFlag = regexp.MustCompile(`^-[paw]`)
)
