package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // the same zones on every machine that checks a file

	"golang.org/x/crypto/ssh"

	"github.com/tmorin/homecloud/internal/config/v1alpha1"
)

func (c *check) os() {
	c.system("os", c.in.OS)
	c.out.OS = systemOf(c.in.OS)
	k3s := c.in.K3s
	c.out.K3s = K3s{Version: k3s.Version, Artifacts: k3s.Artifacts, Config: k3s.Config}
	if k3s.Version != "" && !k3sVersion.MatchString(k3s.Version) {
		c.fail("k3s.version", shown(k3s.Version)+" is not a version of k3s", "write one such as v1.34.1+k3s1")
	}
	for _, secret := range []string{"token", "agent-token", "datastore-endpoint"} {
		if _, ok := k3s.Config[secret]; ok {
			c.fail(join("k3s.config", secret), "is a secret, and this file holds none", "remove it, it belongs to the secrets file")
		}
	}
}

var (
	k3sVersion   = regexp.MustCompile(`^v1\.[0-9]+\.[0-9]+(\+k3s[0-9]+)?$`)
	rebootWindow = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$`)
	debPackage   = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	loginName    = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
)

func systemOf(in v1alpha1.OS) OS {
	return OS{
		Timezone: in.Timezone, Swap: in.Swap, Hardening: in.Hardening, Hold: in.Hold,
		Updates: Updates{Security: in.Updates.Security, Reboot: in.Updates.Reboot},
		SSH: SSH{
			User: in.SSH.User, Port: in.SSH.Port,
			IdentityFile: in.SSH.IdentityFile, AuthorizedKeys: in.SSH.AuthorizedKeys,
		},
	}
}

// system judges the os of the cluster or of one node.
func (c *check) system(path string, in v1alpha1.OS) {
	if zone := in.Timezone; zone != "" {
		if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
			c.fail(path+".timezone", shown(zone)+" is not a time zone", "write a city of the tz database, such as Europe/Paris, or UTC")
		}
	}
	for i, name := range in.Hold {
		if at := fmt.Sprintf("%s.hold[%d]", path, i); name != "" && !debPackage.MatchString(name) {
			c.fail(at, shown(name)+" is not the name of a package", "write it as apt does")
		}
	}
	if reboot := in.Updates.Reboot; reboot != "" && reboot != "never" {
		start, end, _ := strings.Cut(reboot, "-")
		switch {
		case !rebootWindow.MatchString(reboot):
			c.fail(path+".updates.reboot", shown(reboot)+" is not a window of time", `write never, or a window such as "03:00-05:00"`)
		case start == end:
			c.fail(path+".updates.reboot", "the window "+reboot+" is empty", `write never, or a window such as "03:00-05:00"`)
		}
	}
	if user := in.SSH.User; user != "" && !loginName.MatchString(user) {
		c.fail(path+".ssh.user", shown(user)+" is not an account's name", "write the account with sudo, or root")
	}
	for i, key := range in.SSH.AuthorizedKeys {
		c.publicKey(fmt.Sprintf("%s.ssh.authorizedKeys[%d]", path, i), key)
	}
}

func (c *check) publicKey(path, key string) {
	if key == "" {
		return
	}
	if strings.Contains(key, "PRIVATE KEY") {
		c.fail(path, "this is a private key", "make a new pair, this one has been shown; write the line of the .pub file")
		return
	}
	_, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(key))
	switch {
	case err != nil:
		c.fail(path, shown(key)+" is not a public key", "write the line of the .pub file, such as ssh-ed25519 AAAA… alice")
	case len(strings.TrimSpace(string(rest))) > 0:
		c.fail(path, "holds more than one key", "write one entry per key")
	}
}

// override is the cluster's os with the fields that a node wrote itself.
func (c *check) override(path string, own v1alpha1.OS) v1alpha1.OS {
	merged := c.in.OS
	var copyWritten func(to, from reflect.Value, at string)
	copyWritten = func(to, from reflect.Value, at string) {
		for _, f := range fieldsOf(to.Type()) {
			field := join(at, f.name)
			switch {
			case !c.wrote(field):
			case to.Field(f.index).Kind() == reflect.Struct:
				copyWritten(to.Field(f.index), from.Field(f.index), field)
			default:
				to.Field(f.index).Set(from.Field(f.index))
			}
		}
	}
	copyWritten(reflect.ValueOf(&merged).Elem(), reflect.ValueOf(own), path)
	return merged
}
