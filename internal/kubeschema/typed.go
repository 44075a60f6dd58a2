package kubeschema

import (
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/tmorin/homecloud/internal/jsonschema"
)

// typed is what Kubernetes' own Go types say of an object.
type typed struct {
	known    bool // to the types, in whatever version
	problems []jsonschema.Problem
}

var strict = json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})

func decode(text []byte) typed {
	_, _, err := strict.Decode(text, nil, nil)
	switch {
	case err == nil:
		return typed{known: true}
	case runtime.IsNotRegisteredError(err):
		return typed{}
	case !runtime.IsStrictDecodingError(err):
		return typed{known: true, problems: []jsonschema.Problem{said(err)}}
	}
	strictly, _ := runtime.AsStrictDecodingError(err)
	result := typed{known: true}
	for _, err := range strictly.Errors() {
		result.problems = append(result.problems, said(err))
	}
	return result
}

var (
	fieldIs   = regexp.MustCompile(`^(unknown|duplicate) field "(.*)"$`)
	keyIs     = regexp.MustCompile(`line (\d+): key (".*") already set in map`)
	wrongType = regexp.MustCompile(`cannot unmarshal (.*) into Go struct field (?:[A-Za-z]+\.)?(\S+) of type (\S+)`)
	wrong     = regexp.MustCompile(`^.* in version ".*" cannot be handled as a [A-Za-z]+: `)
)

// said words an error of the decoder.
func said(err error) jsonschema.Problem {
	text := err.Error()
	if m := fieldIs.FindStringSubmatch(text); m != nil {
		return jsonschema.Problem{Path: m[2], Text: m[1] + " field", Unknown: m[1] == "unknown"}
	}
	if m := keyIs.FindStringSubmatch(text); m != nil {
		return jsonschema.Problem{Text: "the key " + m[2] + " is there twice"}
	}
	if m := wrongType.FindStringSubmatch(text); m != nil {
		return jsonschema.Problem{Path: m[2], Text: "is " + m[1] + ", but must be " + m[3], Type: true}
	}
	return jsonschema.Problem{Text: strings.TrimPrefix(wrong.ReplaceAllString(text, ""), "json: ")}
}

// and adds what a schema says and the types haven't said. Of wrong types the
// schema knows all and their whole paths; the types stop at the first.
func (t typed) and(schema []jsonschema.Problem) []jsonschema.Problem {
	typesTold := slices.ContainsFunc(schema, func(p jsonschema.Problem) bool { return p.Type })
	var result []jsonschema.Problem
	for _, told := range t.problems {
		if !told.Type || !typesTold {
			result = append(result, told)
		}
	}
	for _, p := range schema {
		if !p.Unknown || !slices.ContainsFunc(t.problems, func(told jsonschema.Problem) bool { return told.Unknown && told.Path == p.Path }) {
			result = append(result, p)
		}
	}
	return result
}

// isBuiltin says whether an apiVersion is of one of Kubernetes' own groups, also
// of those that are gone.
func isBuiltin(apiVersion string) bool {
	group, _, _ := strings.Cut(apiVersion, "/")
	return scheme.Scheme.IsGroupRegistered(group) || !strings.Contains(apiVersion, "/")
}
