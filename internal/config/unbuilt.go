package config

import (
	"fmt"
	"reflect"
	"strings"
)

// notBuilt lists what the file can say but no chart does yet. Such a field is
// refused when it is switched on and never ignored. Who builds one deletes its
// line, and then gives the field the default that the comment names in
// v1alpha1's tags.
var notBuilt = []struct {
	path string // [] stands for every entry of a list, * for every key
	on   func(value reflect.Value) bool
}{
	{"network.encryption", isNot("none")},
	{"users[].quota", written},
	{"devices[].camera", written},
	{"dnas.shares[].smb.timeMachine", isTrue},
	{"dnas.shares[].nfs.versions[]", func(v reflect.Value) bool { return v.Int() == 3 }},
	{"dnas.shares[].protect", written},                 // default: losses 200, percent 5, per 1h
	{"platform.ingress.controller", isNot("none")},     // default: bundled
	{"platform.tls.mode", isNot("none")},               // default: own-ca, acme with a domain
	{"platform.storage.provider", isNot("local-path")}, // default stays
	{"platform.dashboards.headlamp", isTrue},           // default: true
	{"platform.dashboards.portainer", isTrue},          // default stays
	{"platform.monitoring.profile", isNot("none")},     // default: lite
	{"platform.notify.ntfy", isNot("")},
	{"platform.notify.email", isNot("")},
	{"platform.notify.webhook", isNot("")},
	{"services.*.enabled", isTrue}, // default: nextcloud on
	{"backup.repositories", func(v reflect.Value) bool { return v.Len() > 0 }},
	{"backup.schedule", written},
	{"backup.keep", written},
	{"backup.drill", written},
}

// Unbuilt says whether a value is refused because no chart does anything with
// it yet. The path is that of a field, such as users[].quota.
func Unbuilt(path string, value any) bool {
	for _, feature := range notBuilt {
		if feature.path == path && feature.on(reflect.ValueOf(value)) {
			return true
		}
	}
	return false
}

func written(reflect.Value) bool      { return true }
func isTrue(value reflect.Value) bool { return value.Bool() }
func isNot(off string) func(reflect.Value) bool {
	return func(value reflect.Value) bool { return value.String() != off }
}

func (c *check) unbuilt() {
	for _, feature := range notBuilt {
		c.visit(reflect.ValueOf(*c.in), "", strings.Split(strings.ReplaceAll(feature.path, "[]", ".[]"), "."), func(path string, value reflect.Value) {
			// A service that is named without more is on, though nobody wrote so.
			if asked := c.wrote(path) || strings.HasPrefix(path, "services."); asked && feature.on(value) {
				c.fail(path, "is not built yet", "remove it until it is")
			}
		})
	}
}

// visit calls back for every value that the path's steps lead to.
func (c *check) visit(value reflect.Value, path string, steps []string, found func(string, reflect.Value)) {
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return
		}
		value = value.Elem()
	}
	if len(steps) == 0 {
		found(path, value)
		return
	}
	switch step, rest := steps[0], steps[1:]; step {
	case "[]":
		for i := range value.Len() {
			c.visit(value.Index(i), fmt.Sprintf("%s[%d]", path, i), rest, found)
		}
	case "*":
		for _, key := range value.MapKeys() {
			c.visit(value.MapIndex(key), join(path, key.String()), rest, found)
		}
	default:
		for _, f := range fieldsOf(value.Type()) {
			if f.name == step {
				c.visit(value.Field(f.index), join(path, f.name), rest, found)
			}
		}
	}
}
