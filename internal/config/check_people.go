package config

import (
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

func (c *check) people() {
	if c.wrote("users") && len(c.in.Users) == 0 {
		c.fail("users", "there is nobody", "write users: [{name: alice, admin: true}]")
	}
	seen := map[string]string{}
	for i, in := range c.in.Users {
		path := fmt.Sprintf("users[%d]", i)
		c.name(path+".name", in.Name, userName)
		c.unique(seen, in.Name, path+".name", "the name "+in.Name+" is taken", "choose another name")
		c.email(path+".email", in.Email)
		// The name ends in a line of a passwd file, where a colon separates.
		if strings.Contains(in.DisplayName, ":") || strings.ContainsFunc(in.DisplayName, invisible) || utf8.RuneCountInString(in.DisplayName) > 64 {
			c.fail(path+".displayName", shown(in.DisplayName)+" does not fit on one line of an account", "write up to 64 visible characters without a colon")
		}
		user := User{
			Name: in.Name, DisplayName: in.DisplayName, Email: in.Email, Admin: in.Admin,
			Quota: c.size(path+".quota", string(in.Quota), 100<<20),
		}
		if user.DisplayName == "" {
			user.DisplayName = user.Name
		}
		c.out.Users = append(c.out.Users, user)
	}
}

// invisible are characters that break or turn a line. Joiners are parts of
// Persian and Indic names.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != '\u200c' && r != '\u200d'
}

func (c *check) users() []string {
	names := make([]string, len(c.out.Users))
	for i, user := range c.out.Users {
		names[i] = user.Name
	}
	return names
}

var mailAddress = regexp.MustCompile(`^[^@\s]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

func (c *check) email(path, address string) {
	if address == "" {
		return
	}
	if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address || !mailAddress.MatchString(address) {
		c.fail(path, shown(address)+" is not an e-mail address", "write one such as alice@example.org")
	}
}

// size reads an amount of bytes; below the smallest sensible one, the unit was
// forgotten.
func (c *check) size(path, text string, smallest Size) Size {
	if text == "" {
		return 0
	}
	size, err := ParseSize(text)
	switch {
	case err != nil:
		c.refuse(path, shown(text)+" is not an amount of memory or disk", "write one such as 4Gi or 500Mi")
		return 0
	case size < smallest:
		remedy := "write a larger one"
		if withUnit, err := ParseSize(text + "Gi"); err == nil && withUnit >= smallest {
			remedy = "did you mean " + text + "Gi?"
		}
		c.refuse(path, fmt.Sprintf("%s is only %d bytes", text, int64(size)), remedy)
		return 0
	}
	return size
}

// duration reads a length of time between two bounds, both included.
func (c *check) duration(path, text string, shortest, longest, unit Duration) Duration {
	if text == "" {
		return 0
	}
	duration, err := ParseDuration(text)
	example := "90d"
	if unit < Day {
		example = "1h"
	}
	switch {
	case err != nil:
		c.refuse(path, shown(text)+" is not a length of time", "write a number with a unit, such as "+example)
	case duration%unit != 0:
		c.refuse(path, text+" is not a number of whole days", "write one such as "+example)
	case duration < shortest || duration > longest:
		c.refuse(path, fmt.Sprintf("%s is not between %s and %s", text, shortest, longest), "write one such as "+example)
	default:
		return duration
	}
	return 0
}

func (c *check) devices() {
	names, ids := map[string]string{}, map[DeviceID]string{}
	for i, in := range c.in.Devices {
		path := fmt.Sprintf("devices[%d]", i)
		c.name(path+".name", in.Name, deviceName)
		c.unique(names, in.Name, path+".name", "the name "+in.Name+" is taken", "choose another name")
		if slices.ContainsFunc(c.out.Nodes, func(n Node) bool { return n.Name == in.Name }) && in.Name != "" {
			c.fail(path+".name", in.Name+" is the name of a node", "choose another name")
		}
		c.refer(path+".owner", in.Owner, "user", c.users(), "users")
		device := Device{Name: in.Name, Owner: in.Owner}
		if in.ID != "" {
			id, err := ParseDeviceID(in.ID)
			if err != nil {
				c.refuse(path+".id", "is not a device ID: it "+err.Error(), "copy it from the device: Actions, Show ID")
			} else if first, ok := ids[id]; ok {
				c.fail(path+".id", "is the device ID of another device too (first at "+first+")", "copy each device's own: Actions, Show ID")
			} else {
				ids[id] = path + ".id"
			}
			device.ID = id
		}
		if in.Camera != nil {
			device.Camera = &Camera{Share: in.Camera.Share, Path: in.Camera.Path}
			if device.Camera.Path == "" {
				device.Camera.Path = in.Name
			}
		}
		c.out.Devices = append(c.out.Devices, device)
	}
}

func (c *check) deviceNames() []string {
	names := make([]string, len(c.out.Devices))
	for i, device := range c.out.Devices {
		names[i] = device.Name
	}
	return names
}
