package check

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tmorin/homecloud/internal/jsonschema"
)

var objectRules = []Rule{
	{ID: "schema", Severity: Error, Summary: "Objects are what Kubernetes takes",
		Why:  "the API server refuses the object, or drops the field",
		Mend: "write the field as Kubernetes' reference says", check: checkSchemas},
	{ID: "unstable-api", Severity: Warning, Summary: "No alpha or beta API of Kubernetes",
		Why:  "clusters don't serve it unless they are told to, and it goes away",
		Mend: "use the stable API, or leave the object out by default", check: checkStable},
	{ID: "name", Severity: Error, Summary: "Every object has a name that Kubernetes takes",
		Why: "the API server refuses it", Mend: "make names of lower-case letters, digits and dashes, 63 at most", check: checkNames},
	{ID: "namespace", Severity: Error, Summary: "Objects of the whole cluster name no namespace",
		Why: "tools that compare see a difference for ever, or refuse the object", Mend: "remove metadata.namespace", check: checkNamespaces},
	{ID: "duplicate-object", Severity: Error, Summary: "Every object is there once",
		Why:  "one of the two wins, and which one isn't said",
		Mend: "render it in one template only", check: checkDuplicates},
	{ID: "duplicate-key", Severity: Error, Summary: "Entries of merged lists have keys of their own",
		Why:  "server-side apply (Helm 4, Argo CD, Flux) refuses two entries of env, ports or volumeMounts with one key",
		Mend: "leave one of them out", check: checkListKeys},
	{ID: "crd-in-release", Severity: Error, Summary: "No custom resource beside its own definition",
		Why:  "Helm looks up all kinds before it creates the first object: the first installation fails",
		Mend: "put the definition into crds/, or into a release of its own that comes before", check: checkDefinitions},
	{ID: "pvc-keep", Severity: Error, Summary: "Volumes with data stay when the release goes",
		Why:  "`helm uninstall` deletes the claim, and with it the data of most storage classes",
		Mend: "annotate the claim with helm.sh/resource-policy: keep; leave whenDeleted of a StatefulSet out", check: checkClaims},
}

func checkSchemas(r *run) {
	for _, o := range r.objects {
		if o.apiVersion == "" || o.kind == "" {
			r.found(o, "has no apiVersion or no kind")
			continue
		}
		result, err := o.validate(r)
		if err != nil {
			r.found(o, "%v", err)
			continue
		}
		for _, problem := range result.Problems {
			r.found(o, "%s", problem)
		}
		if result.Problems == nil { // else the same mistake may be told twice
			for _, err := range o.refused() {
				r.found(o, "%s", err)
			}
		}
		if result.Unknown {
			r.tell(ruleNoSchema, o, fmt.Sprintf("not validated: nobody knows %s %s", o.apiVersion, o.kind))
		}
	}
}

func checkStable(r *run) {
	for _, o := range r.objects {
		_, version, _ := strings.Cut(o.apiVersion, "/")
		if _, known := r.schemas.Scope(o.apiVersion, o.kind); !known || !strings.Contains(version, "alpha") && !strings.Contains(version, "beta") {
			continue
		}
		if !r.schemas.IsCustom(o.apiVersion, o.kind) {
			r.found(o, "%s is off by default in Kubernetes", o.apiVersion)
		}
	}
}

func checkNames(r *run) {
	for _, o := range r.objects {
		generated, _, _ := unstructured.NestedString(o.value, "metadata", "generateName")
		switch {
		case o.name == "" && generated == "":
			r.found(o, "has no name")
		case o.name != "":
			for _, problem := range o.nameProblems() {
				r.found(o, "name %q: %s", o.name, problem)
			}
		}
	}
}

func checkNamespaces(r *run) {
	for _, o := range r.objects {
		namespaced, known := r.schemas.Scope(o.apiVersion, o.kind)
		own, _, _ := unstructured.NestedString(o.value, "metadata", "namespace")
		if known && !namespaced && own != "" {
			r.found(o, "names the namespace %s, but a %s lies in none", own, o.kind)
		}
	}
}

func checkDuplicates(r *run) {
	seen := map[string]*object{}
	for _, o := range r.objects {
		if o.name == "" {
			continue
		}
		id := strings.Join([]string{groupOf(o.apiVersion), o.kind, o.namespace, o.name}, " ")
		if first := seen[id]; first != nil {
			r.found(o, "is rendered by %s, too", first.source)
			continue
		}
		seen[id] = o
	}
}

func checkListKeys(r *run) {
	keys := map[string]map[string][]string{}
	for _, o := range r.objects {
		kind := o.apiVersion + " " + o.kind
		if keys[kind] == nil {
			keys[kind] = r.schemas.MapKeys(o.apiVersion, o.kind)
		}
		lists(o.value, "", "", func(path, pattern string, entries []any) {
			fields, merged := keys[kind][pattern]
			seen := map[string]int{}
			for i, entry := range entries {
				if !merged {
					return
				}
				id, same := fmt.Sprint(entry), "is the same"
				if len(fields) > 0 {
					entry, is := entry.(map[string]any)
					if !is {
						return
					}
					id, same = keyOf(entry, fields), "has the same "+strings.Join(fields, " and ")
				}
				if first, twice := seen[id]; twice {
					r.found(o, "%s[%d] %s as [%d]", path, i, same, first)
					continue
				}
				seen[id] = i
			}
		})
	}
}

// keyOf is what tells an entry of a list from others. A protocol that isn't
// written is TCP.
func keyOf(entry map[string]any, fields []string) string {
	var key []string
	for _, field := range fields {
		value := entry[field]
		if value == nil && field == "protocol" {
			value = "TCP"
		}
		key = append(key, fmt.Sprint(value))
	}
	return strings.Join(key, "\n")
}

// lists calls back for every list in a value; in a pattern all entries are [].
func lists(value any, path, pattern string, found func(path, pattern string, entries []any)) {
	switch v := value.(type) {
	case map[string]any:
		for _, field := range sortedKeys(v) {
			lists(v[field], jsonschema.Join(path, field), jsonschema.Join(pattern, field), found)
		}
	case []any:
		found(path, pattern, v)
		for i, entry := range v {
			lists(entry, fmt.Sprintf("%s[%d]", path, i), pattern+"[]", found)
		}
	}
}

func checkDefinitions(r *run) {
	made := map[string]*object{}
	for _, o := range r.objects {
		if !o.is("CustomResourceDefinition") {
			continue
		}
		group, _, _ := unstructured.NestedString(o.value, "spec", "group")
		kind, _, _ := unstructured.NestedString(o.value, "spec", "names", "kind")
		made[group+" "+kind] = o
	}
	for _, o := range r.objects {
		definition := made[groupOf(o.apiVersion)+" "+o.kind]
		if definition == nil || slices.ContainsFunc(o.hooks(), func(h string) bool { return strings.HasPrefix(h, "post-") }) {
			continue
		}
		r.found(o, "its definition is rendered by the same release (%s)", definition.source)
	}
}

func checkClaims(r *run) {
	for _, o := range r.objects {
		if o.hooks() != nil || o.annotation("helm.sh/resource-policy") == "keep" {
			continue
		}
		switch deleted, _, _ := unstructured.NestedString(o.value, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"); {
		case o.is("PersistentVolumeClaim"):
			r.found(o, "goes with the release")
		case o.is("StatefulSet") && deleted == "Delete":
			r.found(o, "its claims go with the release: persistentVolumeClaimRetentionPolicy.whenDeleted is Delete")
		}
	}
}
