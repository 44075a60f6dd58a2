package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
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
	{"network.domain", isNot("local")},
	{"network.encryption", isNot("none")},
	{"nodes[].disks[].encryption", isNot("none")},
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

// inert lists what is checked, though nothing does anything with it yet. Such
// a field is noted once, at its first place. Who uses one deletes its line.
var inert = []struct {
	paths        []string
	on           func(value reflect.Value) bool
	note, remedy string
}{
	{[]string{
		"os", "k3s", "network.nameservers", "nodes[].role", "nodes[].board", "nodes[].os",
		"nodes[].disks[].device", "nodes[].disks[].uuid", "nodes[].disks[].filesystem", "nodes[].disks[].format",
	}, written, "hostprep is not built yet: nothing applies %s", "prepare the boards by hand"},
	{[]string{"users[].displayName"}, isNot(""), "no service uses %s yet", "it may stay until one does"},
	{[]string{"users[].email"}, isNot(""), "no service uses %s yet", "it may stay until one does"},
	{[]string{"users[].admin"}, isTrue, "no service uses %s yet", "it may stay until one does"},
}

// Inert says whether nothing does anything with a field yet. The path is that
// of a field, such as users[].email.
func Inert(path string) bool {
	for _, fields := range inert {
		for _, field := range fields.paths {
			if path == field || strings.HasPrefix(path, field+".") {
				return true
			}
		}
	}
	return false
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
		c.each(feature.path, func(path string, value reflect.Value) {
			switch asked := c.wrote(path); {
			case !feature.on(value):
			case asked:
				c.fail(path, "is not built yet", "remove it until it is")
			case strings.HasPrefix(path, "services."): // one that is named without more is on
				c.fail(parentOf(path), "is not built yet", "remove it until it is")
			}
		})
	}
}

func (c *check) inert() {
	for _, fields := range inert {
		var first string
		var names []string
		for _, field := range fields.paths {
			c.each(field, func(path string, value reflect.Value) {
				if !c.wrote(path) || !fields.on(value) {
					return
				}
				first = cmp.Or(first, path)
				if !slices.Contains(names, field) {
					names = append(names, field)
				}
			})
		}
		if first != "" {
			c.warn(first, fmt.Sprintf(fields.note, strings.Join(names, ", ")), fields.remedy)
		}
	}
}

// each calls back for every value that stands at the path of a field.
func (c *check) each(field string, found func(path string, value reflect.Value)) {
	c.visit(reflect.ValueOf(*c.in), "", strings.Split(strings.ReplaceAll(field, "[]", ".[]"), "."), found)
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
