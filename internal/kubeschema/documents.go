package kubeschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// ErrNoVersion is why documents can't be used without a version.
var ErrNoVersion = errors.New("the OpenAPI documents don't say which version of Kubernetes they describe")

// FromDocuments returns the kinds of OpenAPI v3 documents, as Kubernetes
// publishes and an API server serves them, one for each group and version, by
// where each comes from. Kinds that CustomResourceDefinitions made are among an
// API server's. version is what is described, such as 1.34; when it is empty the
// documents must say, else it fails with ErrNoVersion.
func FromDocuments(version string, documents map[string][]byte) (*Schemas, error) {
	known, err := Shared()
	if err != nil {
		return nil, err
	}
	extract := Extract{Kinds: map[string][]Kind{}, Definitions: map[string][]Definition{}}
	for _, from := range slices.Sorted(maps.Keys(documents)) {
		if version == "" {
			version = versionOf(documents[from])
		}
		if err := extract.AddDocument(documents[from], 1, known.enums); err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
	}
	switch {
	case len(extract.Kinds) == 0:
		return nil, errors.New("no OpenAPI document in there describes a kind that can be created")
	case version == "":
		return nil, ErrNoVersion
	}
	extract.Versions = []string{version}
	for name, schema := range known.definitions(len(known.extract.Versions) - 1) {
		if extract.Definitions[name] == nil { // definitions of other kinds refer to it
			extract.Definitions[name] = []Definition{{Versions: 1, Schema: schema.(object)}}
		}
	}
	k := newKubernetes(extract)
	k.partial = true
	return &Schemas{kubernetes: k}, nil
}

var versioned = regexp.MustCompile(`^v?(\d+\.\d+)\.`)

// versionOf is the version that a document says it describes: an API server's
// does, those in Kubernetes' source don't.
func versionOf(document []byte) string {
	var d struct{ Info struct{ Version string } }
	if err := json.Unmarshal(document, &d); err != nil {
		return ""
	}
	if m := versioned.FindStringSubmatch(d.Info.Version); m != nil {
		return m[1]
	}
	return ""
}

// enums are the values that the fields of a schema may have in the newest
// version that is built in; OpenAPI documents don't tell.
func (s *Schemas) enums(name string) map[string][]any {
	found := map[string][]any{}
	for _, form := range s.extract.Definitions[name] {
		properties, _ := form.Schema["properties"].(object)
		for field, property := range properties {
			property, _ := property.(object)
			if values, is := property["enum"].([]any); is {
				found[field] = values
			}
		}
	}
	return found
}
