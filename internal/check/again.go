package check

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/tmorin/homecloud/internal/chart"
)

// mirror is a registry that no chart names by itself.
const mirror = "mirror.invalid:5000"

// again renders once more, with another registry for all images, and compares:
// an image that doesn't follow isn't reached by global.imageRegistry, and what
// else differs isn't deterministic.
func (r *run) again(first []chart.Document) {
	values := map[string]any{}
	for key, value := range r.with.Values {
		values[key] = value
	}
	global, _ := values["global"].(map[string]any)
	changed := map[string]any{"imageRegistry": mirror}
	for key, value := range global {
		if key != "imageRegistry" {
			changed[key] = value
		}
	}
	values["global"] = changed
	second, err := r.chart.Documents(r.options(values))
	if err != nil { // a strict schema that knows no global: a finding of its own
		r.add(Finding{Rule: ruleRegistry, Text: "the chart doesn't take global.imageRegistry: " + err.Error()})
		r.twice(first)
		return
	}
	mirrored, _ := r.read(second, r.with.Namespace)
	for _, o := range mirrored {
		o.images(func(image, where string) {
			if !strings.HasPrefix(image, mirror+"/") {
				r.add(Finding{Rule: ruleRegistry, Object: o.String(), Source: o.source, Text: where + ": the image " + image + " doesn't follow it"})
			}
		})
	}
	if r.different(first, second) {
		r.twice(first)
	}
}

// different says whether two renderings differ beyond the registry.
func (r *run) different(first, second []chart.Document) bool {
	if len(first) != len(second) {
		return true
	}
	for i := range first {
		if first[i].Text == second[i].Text {
			continue
		}
		before, _ := r.read(first[i:i+1], r.with.Namespace)
		after, _ := r.read(second[i:i+1], r.with.Namespace)
		if len(before) != len(after) {
			return true
		}
		for j := range before {
			if !sameButMirror(before[j].value, after[j].value) {
				return true
			}
		}
	}
	return false
}

// sameButMirror says whether two values differ in nothing but texts that name
// the mirror.
func sameButMirror(a, b any) bool {
	switch right := b.(type) {
	case map[string]any:
		left, is := a.(map[string]any)
		if !is || len(left) != len(right) {
			return false
		}
		for key := range right {
			if _, has := left[key]; !has || !sameButMirror(left[key], right[key]) {
				return false
			}
		}
		return true
	case []any:
		left, is := a.([]any)
		return is && len(left) == len(right) && sameEntries(left, right)
	case string:
		return a == b || strings.Contains(right, mirror)
	}
	return reflect.DeepEqual(a, b)
}

func sameEntries(a, b []any) bool {
	for i := range a {
		if !sameButMirror(a[i], b[i]) {
			return false
		}
	}
	return true
}

// twice renders the same once more and compares.
func (r *run) twice(first []chart.Document) {
	second, err := r.chart.Documents(r.options(r.with.Values))
	if err != nil {
		r.add(Finding{Rule: ruleDeterministic, Text: "the second time it can't be rendered: " + err.Error()})
		return
	}
	before, _ := r.read(first, r.with.Namespace)
	after, _ := r.read(second, r.with.Namespace)
	if len(before) != len(after) {
		r.add(Finding{Rule: ruleDeterministic, Text: "the second time there are other objects"})
		return
	}
	for i, o := range before {
		if !reflect.DeepEqual(o.value, after[i].value) {
			r.add(Finding{Rule: ruleDeterministic, Object: o.String(), Source: o.source, Text: firstDifference(o.value, after[i].value, "") + " is another one the second time"})
		}
	}
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
