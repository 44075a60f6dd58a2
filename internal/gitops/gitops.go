// Package gitops writes a folder of a Git repository from which Argo CD or Flux
// installs the same cloud as hcchart up: the same releases in the same order,
// from the same charts with the same values.
//
// Files computes what belongs into the folder, from data alone; Look and Write
// bring a folder there without touching what somebody else put or changed in
// it. No secret passes through in clear: Secrets are encrypted in memory, or
// are expected in the cluster.
package gitops

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// The tools that install from a Git repository.
const (
	ArgoCD = "argocd"
	Flux   = "flux"
)

// Names that the folder gives to what it brings into the cluster.
const (
	root      = "homecloud-gitops" // what makes the tool sync the folder
	ageSecret = "homecloud-age"    // holds the identity that Flux decrypts with
)

// Options say where the folder will lie and who reads it.
type Options struct {
	Tool       string // ArgoCD or Flux
	Repository string // URL of the Git repository
	Path       string // of the folder in it; empty: the folder is the repository
	Revision   string // the branch that is installed
	Registry   string // where the charts are published, as oci://…; empty: they are written into the folder

	ControllerNamespace string            // where the tool itself runs
	NamespaceLabels     map[string]string // of the releases' namespaces

	Project          string // Argo CD's
	RepositorySecret string // for Flux: holds the credentials of the repository; empty: none

	// The Secrets that the releases need: in the folder, encrypted for the
	// Recipients, or only told by name.
	Secrets     []*corev1.Secret
	Recipients  []string
	SecretNames []string

	Command string // what makes the folder, for its README
}

var fluxURL, argoURL = regexp.MustCompile(`^(https?|ssh)://[^/]+/.+$`), regexp.MustCompile(`^((https?|ssh)://[^/]+/.+|[\w.-]+@[\w.-]+:.+)$`)

// Check says what is wrong with the options, in the words of the command's
// flags, and brings Path into the form that the tools want.
func (o *Options) Check() error {
	var problems []error
	problem := func(format string, arguments ...any) { problems = append(problems, fmt.Errorf(format, arguments...)) }
	parsed, err := url.Parse(o.Repository)
	switch {
	case err == nil && parsed.User != nil && holdsCredentials(parsed):
		problem("--repo holds credentials, which the repository would show to everybody who reads it; give them to %s as a Secret", o.name())
	case o.Tool == Flux && !fluxURL.MatchString(o.Repository):
		problem("--repo %q: write the repository's URL as Flux takes it, such as ssh://git@git.home/alice/cloud.git or https://…", o.Repository)
	case o.Tool == ArgoCD && !argoURL.MatchString(o.Repository):
		problem("--repo %q: write the repository's URL, such as https://git.home/alice/cloud.git", o.Repository)
	}
	clean := path.Clean(cmp.Or(o.Path, "."))
	if path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(clean, "\\\n") {
		problem("--path %q: write the folder's path in the repository, such as clusters/home", o.Path)
	}
	o.Path = clean
	if o.Revision == "" || strings.ContainsAny(o.Revision, " \t\n~^:") {
		problem("--revision %q: write the name of a branch, such as main", o.Revision)
	}
	if o.Registry != "" {
		where, isOCI := strings.CutPrefix(o.Registry, "oci://")
		if o.Registry = strings.TrimSuffix(o.Registry, "/"); !isOCI || where == "" || strings.ContainsAny(where, "@ \n") {
			problem("--charts %q: write oci://REGISTRY/PATH, or a folder of charts", o.Registry)
		}
	}
	return errors.Join(problems...)
}

// holdsCredentials is true of more than the name that ssh needs.
func holdsCredentials(u *url.URL) bool {
	_, password := u.User.Password()
	return password || strings.HasPrefix(u.Scheme, "http")
}

func (o *Options) name() string {
	if o.Tool == Flux {
		return "Flux"
	}
	return "Argo CD"
}

// File is a file of the folder.
type File struct {
	Content []byte
	// Once is for a file that a person goes on with: it is made when it isn't
	// there and belongs to the person from then on.
	Once bool
	// Private files are readable by their owner alone.
	Private bool
	// Serves tells whether a file with other bytes says the same; nil: none does.
	Serves func(content []byte) bool
}
