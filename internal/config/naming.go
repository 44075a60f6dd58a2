package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// naming is the rule for one kind of name.
type naming struct {
	syntax  *regexp.Regexp
	words   string // the syntax for a person
	longest int
	why     string // where the limit comes from
	// reserved names and what they are; compared without regard to case.
	reserved map[string]string
}

var (
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	shareWord = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	unixWord  = regexp.MustCompile(`^[a-z]([a-z0-9_-]*[a-z0-9])?$`)
)

const (
	labelWords = "lower-case letters, digits and dashes, a letter or digit at both ends"
	shareWords = "letters, digits, dots, dashes and underscores, a letter or digit at both ends"
	unixWords  = "lower-case letters, digits, dashes and underscores, a letter first"
)

// A Syncthing folder is named <cluster>-<share> and has 64 characters at most;
// a node's name ends the name of its Secret, which is used as a DNS label.
const (
	longestFolder  = 64
	longestShare   = 32
	longestCluster = longestFolder - longestShare - len("-")
)

var longestNode = 63 - len(SyncthingSecret(Release, ""))

var (
	clusterName = naming{dnsLabel, labelWords, longestCluster, "it begins the name of every synchronised folder", nil}
	nodeName    = naming{dnsLabel, labelWords, longestNode, "it ends the name of a Secret", reservedNodes()}
	diskName    = naming{dnsLabel, labelWords, 32, "it is a directory under " + DataRoot, nil}
	deviceName  = naming{dnsLabel, labelWords, 32, "it is a directory of pictures", nil}
	shareName   = naming{shareWord, shareWords, longestShare, "it ends the name of a synchronised folder", reservedShares()}
	userName    = naming{unixWord, unixWords, 32, "it is a Unix account", reservedUsers()}
	serviceName = naming{dnsLabel, labelWords, 40, "it is a host name", nil}
	repoName    = naming{dnsLabel, labelWords, 32, "it is part of a secret's name", nil}
)

// reservedNodes are what would give a node's Secret the name of another one, and
// the name that every board has for itself.
func reservedNodes() map[string]string {
	return map[string]string{
		strings.TrimPrefix(PeersSecret(Release), SyncthingSecret(Release, "")): "the Secret that knows every board",
		"localhost": "every board itself",
	}
}

func reservedShares() map[string]string {
	reserved := map[string]string{
		"global": "a section of Samba", "homes": "a section of Samba", "printers": "a section of Samba",
		"ipc": "a share of Windows itself", "admin": "a share of Windows itself", "print": "a share of Windows itself",
		"netlogon": "a share of Windows domains", "sysvol": "a share of Windows domains",
		"con": "a device of Windows", "prn": "a device of Windows", "aux": "a device of Windows", "nul": "a device of Windows",
	}
	for i := range 10 {
		reserved[fmt.Sprintf("com%d", i)] = "a device of Windows"
		reserved[fmt.Sprintf("lpt%d", i)] = "a device of Windows"
	}
	return reserved
}

// SystemAccounts are Debian's own accounts and those of the daemons in our
// images: a person of that name would be that account, root included. The chart
// dnas refuses the same.
var SystemAccounts = strings.Fields(`_apt _rpc avahi backup bin containerd daemon games ganesha gnats irc k3s keepalived list
	lp mail man messagebus news nfsnobody nobody nogroup ntp proxy root sshd statd sync syncthing sys systemd-journal
	systemd-network systemd-resolve systemd-timesync uucp www-data`)

func reservedUsers() map[string]string {
	reserved := map[string]string{"guest": "whoever has no password", "homecloud": "the owner of every file"}
	for _, name := range SystemAccounts {
		reserved[name] = "an account of the system"
	}
	return reserved
}

// name judges a name by its rule.
func (c *check) name(path, name string, rule naming) {
	switch lower := strings.ToLower(name); {
	case name == "":
	case !rule.syntax.MatchString(strings.TrimSuffix(name, "$")) || strings.HasSuffix(name, "$") && rule.reserved[strings.TrimSuffix(lower, "$")] == "":
		c.fail(path, shown(name)+" is not a name", "write "+rule.words+nameProposal(name, rule))
	case len(name) > rule.longest:
		c.fail(path, fmt.Sprintf("%s has %d characters, and may have %d (%s)", shown(name), len(name), rule.longest, rule.why),
			fmt.Sprintf("write a name of at most %d characters", rule.longest))
	case slices.Contains(yesWords[:4], lower) || slices.Contains(noWords[:4], lower) || lower == "null" || lower == "none":
		c.fail(path, shown(name)+" is no name: other readers of YAML take it for true, false or nothing", "choose another name")
	case strings.Contains(name, ".."):
		c.fail(path, shown(name)+" holds two dots in a row", "choose another name")
	default:
		base, _, _ := strings.Cut(strings.TrimSuffix(lower, "$"), ".")
		if what, ok := rule.reserved[base]; ok {
			c.fail(path, shown(name)+" is the name of "+what, "choose another name")
		}
	}
}

var notInLabels = regexp.MustCompile(`[^a-z0-9]+`)

// nameProposal makes a valid name of what was meant.
func nameProposal(name string, rule naming) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "" // people spell their letters in their own way
	}
	proposal := strings.Trim(notInLabels.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if proposal == "" || len(proposal) > rule.longest || !rule.syntax.MatchString(proposal) || rule.reserved[proposal] != "" {
		return ""
	}
	return ", such as " + proposal
}
