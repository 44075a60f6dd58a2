package config

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/tmorin/homecloud/internal/config/v1alpha1"
)

func (c *check) platform() {
	in := c.in.Platform
	c.out.Platform = Platform{
		Ingress: Ingress{Controller: in.Ingress.Controller, ClassName: in.Ingress.ClassName},
		TLS: TLS{
			Mode: in.TLS.Mode, Email: in.TLS.Email, Challenge: in.TLS.Challenge, Provider: in.TLS.Provider,
		},
		Storage:    Storage{Provider: in.Storage.Provider, ClassName: in.Storage.ClassName},
		Dashboards: Dashboards{Headlamp: in.Dashboards.Headlamp, Portainer: in.Dashboards.Portainer},
		Monitoring: Monitoring{
			Profile:   in.Monitoring.Profile,
			Retention: c.duration("platform.monitoring.retention", in.Monitoring.Retention, Duration(time.Hour), 3650*Day, Duration(time.Hour)),
		},
		Notify: Notify{Ntfy: in.Notify.Ntfy, Email: in.Notify.Email, Webhook: in.Notify.Webhook},
	}
	if in.Storage.Replicas != nil {
		c.out.Platform.Storage.Replicas = *in.Storage.Replicas
	}
	c.email("platform.tls.email", in.TLS.Email)
	c.email("platform.notify.email", in.Notify.Email)
	c.address("platform.notify.ntfy", in.Notify.Ntfy)
	c.address("platform.notify.webhook", in.Notify.Webhook)
	if in.TLS.Mode == "acme" && c.in.Network.Domain == "local" {
		c.fail("platform.tls.mode", "no public authority certifies names under local", "write network.domain, or mode: own-ca")
	}
	c.dependentFields()
}

// dependentFields refuses a field that means nothing because of another one:
// what is written is never ignored.
func (c *check) dependentFields() {
	in := c.in.Platform
	for _, field := range []struct {
		path  string
		used  bool
		where string
	}{
		{"platform.ingress.className", in.Ingress.Controller != "none", "a controller"},
		{"platform.tls.email", in.TLS.Mode == "acme", "mode: acme"},
		{"platform.tls.challenge", in.TLS.Mode == "acme", "mode: acme"},
		{"platform.tls.provider", in.TLS.Challenge == "dns01", "challenge: dns01"},
		{"platform.storage.replicas", in.Storage.Provider == "longhorn", "provider: longhorn"},
		{"platform.storage.className", in.Storage.Provider == "existing", "provider: existing"},
		{"platform.monitoring.retention", in.Monitoring.Profile != "none", "a profile"},
	} {
		section := parentOf(field.path)
		if c.wrote(field.path) && !field.used && !c.brokenUnder(section) {
			c.fail(field.path, "means nothing without "+field.where, "write "+field.where+", or remove the line")
		}
	}
	for path, text := range map[string]string{
		"platform.ingress.className": in.Ingress.ClassName, "platform.storage.className": in.Storage.ClassName,
	} {
		if text != "" && (!domainName.MatchString(text) || len(text) > 253) {
			c.fail(path, shown(text)+" is not the name of a class", "write "+labelWords)
		}
	}
	if in.TLS.Provider != "" && !dnsLabel.MatchString(in.TLS.Provider) {
		c.fail("platform.tls.provider", shown(in.TLS.Provider)+" is not a provider", "write "+labelWords)
	}
}

func (c *check) address(path, text string) {
	if text == "" {
		return
	}
	parsed, err := url.Parse(text)
	switch {
	case err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http":
		c.fail(path, shown(text)+" is not a URL", "write one such as https://ntfy.example.org/home")
	case parsed.User != nil:
		c.fail(path, "holds a password, and this file holds none", "write the URL without it, the password belongs to the secrets file")
	}
}

var cpuAmount = regexp.MustCompile(`^([0-9]{1,6}m|[0-9]{1,4}(\.[0-9]{1,3})?)$`)

func (c *check) services() {
	c.out.Services = map[string]Service{}
	shares := make([]string, len(c.out.DNAS.Shares))
	for i, share := range c.out.DNAS.Shares {
		shares[i] = share.Name
	}
	for _, name := range slices.Sorted(maps.Keys(c.in.Services)) {
		in, at := c.in.Services[name], join("services", name)
		c.name(at, name, serviceName)
		if in.Share != "" {
			c.refer(at+".share", in.Share, "share", shares, "dnas.shares")
		}
		for i, share := range in.Shares {
			c.refer(fmt.Sprintf("%s.shares[%d]", at, i), share, "share", shares, "dnas.shares")
		}
		if in.Host != "" && (!domainName.MatchString(in.Host) || len(in.Host) > 253) {
			c.fail(at+".host", shown(in.Host)+" is not a host name", "write one such as cloud, or cloud.example.org")
		}
		c.amounts(at+".resources.requests", in.Resources.Requests)
		c.amounts(at+".resources.limits", in.Resources.Limits)
		c.out.Services[name] = Service{
			Enabled: in.Enabled, Host: in.Host, Share: in.Share, Shares: in.Shares,
			Resources: Resources{Requests: resourceList(in.Resources.Requests), Limits: resourceList(in.Resources.Limits)},
		}
	}
}

func resourceList(in v1alpha1.ResourceList) ResourceList {
	return ResourceList{CPU: string(in.CPU), Memory: string(in.Memory)}
}

func (c *check) amounts(at string, in v1alpha1.ResourceList) {
	if in.CPU != "" && !cpuAmount.MatchString(string(in.CPU)) {
		c.fail(at+".cpu", shown(string(in.CPU))+" is not an amount of processors", "write one such as 500m or 1")
	}
	c.size(at+".memory", string(in.Memory), 1<<20)
}

func (c *check) backup() {
	in := c.in.Backup
	c.out.Backup = Backup{
		Schedule: in.Schedule, Drill: in.Drill,
		Keep: Keep{
			Daily: count(in.Keep.Daily), Weekly: count(in.Keep.Weekly),
			Monthly: count(in.Keep.Monthly), Yearly: count(in.Keep.Yearly),
		},
	}
	c.schedule("backup.schedule", in.Schedule)
	c.schedule("backup.drill", in.Drill)
	if keep := c.out.Backup.Keep; keep == (Keep{}) && !c.brokenUnder("backup.keep") {
		c.fail("backup.keep", "no backup would stay", "write how many, such as daily: 7")
	}
	names, away := map[string]string{}, false
	for i, repository := range in.Repositories {
		at := fmt.Sprintf("backup.repositories[%d]", i)
		c.name(at+".name", repository.Name, repoName)
		c.unique(names, repository.Name, at+".name", "the name "+repository.Name+" is taken", "choose another name")
		c.out.Backup.Repositories = append(c.out.Backup.Repositories, c.repository(at, repository))
		away = away || repository.URL != "" && !strings.HasPrefix(repository.URL, "/")
	}
	if !away && !c.brokenUnder("backup") {
		c.warn("backup", "there is no backup outside of the house: a fire or a thief takes all boards together",
			"copy the shares to another place by hand until backup is built")
	}
}

// count reads what the decoder has checked already.
func count(text v1alpha1.Count) int {
	if text == "forever" {
		return Forever
	}
	number, _ := strconv.Atoi(string(text))
	return number
}

// schedule wants the five fields that Kubernetes takes too.
func (c *check) schedule(path, text string) {
	if text == "" {
		return
	}
	const example = `write minute, hour, day, month and weekday, such as "0 3 * * *"`
	fields := strings.Fields(text)
	if len(fields) != 5 || strings.Contains(text, "=") {
		c.fail(path, shown(text)+" is not a schedule of five fields", example)
		return
	}
	schedule, err := cron.ParseStandard(strings.Join(fields, " "))
	if err != nil {
		problem, _, _ := strings.Cut(err.Error(), ": strconv.") // Go's own words help nobody
		c.fail(path, shown(text)+" is not a schedule: "+shown(problem), example)
		return
	}
	// Any start does: what has not come in four years and a leap day never comes.
	if schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		c.fail(path, shown(text)+" never comes", example)
	}
}

// resticBackends are the prefixes of addresses that restic knows.
var resticBackends = []string{"sftp", "rest", "s3", "swift", "b2", "azure", "gs", "rclone"}

func (c *check) repository(at string, in v1alpha1.Repository) Repository {
	repository := Repository{Name: in.Name, URL: in.URL}
	if in.Disk != nil {
		repository.Disk = &RepositoryDisk{Node: in.Disk.Node, Name: in.Disk.Name}
	}
	switch {
	case c.brokenAt(at + ".disk"), c.brokenAt(at + ".url"):
	case in.Disk == nil && in.URL == "":
		c.fail(at, "says neither disk nor url", "write disk: {node: …, name: …} or url: …")
	case in.Disk != nil && in.URL != "":
		c.fail(at, "says both disk and url", "keep one of them")
	case in.Disk != nil:
		c.repositoryDisk(at+".disk", *repository.Disk)
	default:
		c.repositoryURL(at+".url", in.URL)
	}
	return repository
}

func (c *check) repositoryDisk(at string, in RepositoryDisk) {
	known := make([]string, len(c.out.Nodes))
	for i, node := range c.out.Nodes {
		known[i] = node.Name
	}
	if !c.refer(at+".node", in.Node, "node", known, "nodes") {
		return
	}
	node, _ := c.out.Node(in.Node)
	disks := make([]string, len(node.Disks))
	for i, disk := range node.Disks {
		disks[i] = disk.Name
	}
	if c.refer(at+".name", in.Name, "disk of "+in.Node, disks, "nodes") && in.Name == c.out.DNAS.Disk && c.isDNASNode(in.Node) {
		c.fail(at+".name", "is the disk with the shares: both would die together", "write another disk")
	}
}

func (c *check) repositoryURL(path, text string) {
	backend, rest, found := strings.Cut(text, ":")
	switch {
	case strings.HasPrefix(text, "/"):
		c.fail(path, text+" is a path, and it is not said on which board", "write disk: {node: …, name: …}")
	case !found || rest == "" || !slices.Contains(resticBackends, backend):
		c.fail(path, shown(text)+" is not an address that restic knows", "begin with "+strings.Join(resticBackends[:len(resticBackends)-1], ":, ")+": or rclone:")
	case passwordInURL.MatchString(rest):
		c.fail(path, "holds a password, and this file holds none", "write the address without it, the password belongs to the secrets file")
	}
}

var passwordInURL = regexp.MustCompile(`//[^/@\s]*:[^/@\s]+@`)
