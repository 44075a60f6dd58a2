package check

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"strings"

	"github.com/tmorin/homecloud/internal/chart"
)

// mirror is a registry that no chart names by itself.
const mirror = "mirror.invalid:5000"

// again renders once more and compares: an image that doesn't follow another
// registry isn't reached by global.imageRegistry, what differs the second time
// isn't deterministic, and what only differs in an upgrade depends on the release.
// All three are seen in one rendering; which it is takes more.
func (r *run) again() {
	options := r.options(r.with.Values)
	options.Values = mirrored(options.Values)
	options.Upgrade = true
	other, err := r.chart.Documents(options)
	if err == nil && !r.different(other) {
		r.followed(other)
		return
	}
	options.Upgrade = false
	if other, err = r.chart.Documents(options); err == nil {
		r.followed(other)
	} else { // a strict schema that knows no global: a finding of its own
		r.add(Finding{Rule: ruleRegistry, Text: "the chart doesn't take global.imageRegistry: " + err.Error()})
	}
	options.Values = r.with.Values
	second, err := r.chart.Documents(options)
	if err != nil {
		r.add(Finding{Rule: ruleDeterministic, Text: "the second time it can't be rendered: " + err.Error()})
		return
	}
	changed := r.compare(ruleDeterministic, second, nil, "the second time")
	options.Upgrade = true
	if other, err = r.chart.Documents(options); err != nil {
		r.add(Finding{Rule: ruleReleaseState, Text: "as an upgrade it can't be rendered: " + err.Error()})
		return
	}
	r.compare(ruleReleaseState, other, changed, "in an upgrade")
}

// mirrored are the values with another registry for all images.
func mirrored(values map[string]any) map[string]any {
	result, changed := map[string]any{}, map[string]any{}
	maps.Copy(result, values)
	global, _ := values["global"].(map[string]any)
	maps.Copy(changed, global)
	changed["imageRegistry"] = mirror
	result["global"] = changed
	return result
}

// followed tells which images another registry doesn't reach.
func (r *run) followed(documents []chart.Document) {
	objects, _ := r.read(documents, r.with.Namespace)
	for _, o := range objects {
		o.images(func(image, where string) {
			if !strings.HasPrefix(image, mirror+"/") {
				r.tell(ruleRegistry, o, where+": the image "+image+" doesn't follow it")
			}
		})
	}
}

// different says whether another rendering differs beyond the registry.
func (r *run) different(other []chart.Document) bool {
	if len(r.documents) != len(other) {
		return true
	}
	for i, first := range r.documents {
		if first.Source != other[i].Source || first.Text != other[i].Text && !sameButMirror(first.Text, other[i].Text) {
			return true
		}
	}
	return false
}

// sameButMirror says whether a text is another one with the mirror in the place
// of registries, and nothing else: a password beside it isn't missed.
func sameButMirror(first, other string) bool {
	before, after := strings.Split(first, "\n"), strings.Split(other, "\n")
	if len(before) != len(after) {
		return false
	}
	for i, line := range after {
		if line == before[i] {
			continue
		}
		if !strings.Contains(line, mirror) {
			return false
		}
		// A registry that isn't written has no slash either.
		pattern := strings.ReplaceAll(regexp.QuoteMeta(line), regexp.QuoteMeta(mirror)+"/", `[\w.:/-]*/?`)
		if is, err := regexp.MatchString("^"+strings.ReplaceAll(pattern, regexp.QuoteMeta(mirror), `[\w.:/-]*`)+"$", before[i]); !is || err != nil {
			return false
		}
	}
	return true
}

// compare tells which objects are others in another rendering, and returns them.
// Those that are known aren't told.
func (r *run) compare(rule string, again []chart.Document, known map[string]bool, when string) map[string]bool {
	objects, _ := r.read(again, r.with.Namespace)
	other := map[string]*object{}
	for _, o := range objects {
		other[o.id()] = o
	}
	found := map[string]bool{}
	tell := func(o *object, text string) {
		found[o.id()] = true
		if !known[o.id()] {
			r.tell(rule, o, text+" "+when)
		}
	}
	for _, o := range r.objects {
		match := other[o.id()]
		delete(other, o.id())
		switch {
		case match == nil:
			tell(o, "isn't there")
		case !reflect.DeepEqual(o.value, match.value):
			tell(o, firstDifference(o.value, match.value, "")+" is another one")
		}
	}
	for _, id := range sortedKeys(other) {
		tell(other[id], "is only there")
	}
	return found
}

// id is what finds an object in another rendering.
func (o *object) id() string {
	return o.source + " " + o.apiVersion + " " + o.namespace + " " + o.String()
}

// firstDifference is the path of the first field that differs. Values aren't
// shown: they may be passwords.
func firstDifference(a, b any, path string) string {
	left, isMap := a.(map[string]any)
	right, bothMaps := b.(map[string]any)
	if isMap && bothMaps {
		for _, key := range sortedKeys(left) {
			if !reflect.DeepEqual(left[key], right[key]) {
				return firstDifference(left[key], right[key], strings.TrimPrefix(path+"."+key, "."))
			}
		}
	}
	if path == "" {
		return "it"
	}
	return path
}

// brief shows a value in a line.
func brief(value any) string {
	if value == nil {
		return "nothing"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "something else"
	}
	if len(text) > 80 {
		return string(text[:77]) + "…"
	}
	return string(text)
}
