// Package imageset says which images a chart runs, what is known about each,
// and what each is called elsewhere: on a board, in a mirror, in the lock file.
// It is a function of rendered objects and of data that is built in; it knows
// no registry and no archive.
package imageset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

// Image is one image and all that run it.
type Image struct {
	// Reference is its name as container runtimes keep it, complete with registry
	// and tag or digest: docker.io/library/nginx:1.29.
	Reference string `json:"image"`
	// Written are its names as charts write them: a mirror is asked for these.
	Written       []string    `json:"written"`
	Components    []Component `json:"components"`
	Licence       string      `json:"licence,omitempty"`       // SPDX; empty: not known
	Architectures []string    `json:"architectures,omitempty"` // as Go names them, sorted; empty: not known
	Digest        string      `json:"digest,omitempty"`        // what the lock file says; empty: not locked
	// AlwaysPulled says that a container asks the registry at every start: a copy
	// on the board isn't enough.
	AlwaysPulled bool `json:"alwaysPulled,omitempty"`
}

// Component is something that runs an image.
type Component struct {
	// Object is a workload, such as "DaemonSet syncthing", or "chart longhorn"
	// whose list of images names it.
	Object string `json:"object"`
	// Container is its name; for an image that a volume or another field names,
	// that field.
	Container string `json:"container,omitempty"`
	Source    string `json:"source,omitempty"` // the template
}

// String is "DaemonSet syncthing/gate".
func (c Component) String() string {
	if c.Container == "" {
		return c.Object
	}
	return c.Object + "/" + c.Container
}

// Set gathers images.
type Set struct{ images map[string]*Image }

// Add takes one image as somebody writes it.
func (s *Set) Add(written string, component Component) error {
	name, err := Normalise(written)
	if err != nil {
		return fmt.Errorf("%s: %w", component, err)
	}
	if s.images == nil {
		s.images = map[string]*Image{}
	}
	image := s.images[name]
	if image == nil {
		image = &Image{Reference: name}
		s.images[name] = image
	}
	if !slices.Contains(image.Written, written) {
		image.Written = append(image.Written, written)
	}
	if !slices.Contains(image.Components, component) {
		image.Components = append(image.Components, component)
	}
	return nil
}

// Images are those that were added, each once, sorted, with what is built in
// about them and what the lock says; nil: there is no lock.
func (s *Set) Images(lock *Lock) []Image {
	images := []Image{}
	for _, image := range s.images {
		slices.Sort(image.Written)
		slices.SortFunc(image.Components, func(a, b Component) int {
			return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Container, b.Container), cmp.Compare(a.Source, b.Source))
		})
		known := *image
		known.Architectures = slices.Sorted(slices.Values(image.Architectures))
		if ours, ok := factsOf(image.Reference); ok {
			known.Licence, known.Architectures = ours.Licence, slices.Sorted(slices.Values(ours.Architectures))
		}
		if locked, ok := lock.Find(image.Reference); ok {
			known.Digest, known.Architectures = locked.Digest, locked.architectures()
			known.Licence = cmp.Or(known.Licence, locked.Licence)
		}
		images = append(images, known)
	}
	slices.SortFunc(images, func(a, b Image) int { return cmp.Compare(a.Reference, b.Reference) })
	return images
}

// Normalise completes a reference the way containerd and Kubernetes do: with
// its registry, with the tag latest where there is none, and without the tag
// where there is a digest.
func Normalise(written string) (string, error) {
	named, err := reference.ParseDockerRef(written)
	if err != nil {
		return "", fmt.Errorf("the image %q is no reference: %w", written, err)
	}
	return named.String(), nil
}

// Mirrored is what a reference is called in a mirror: the rule of our charts'
// global.imageRegistry, that of charts/common/templates/_image.tpl. The
// registry is replaced; what isn't written stays unwritten.
func Mirrored(written, registry string) string {
	first, rest, found := strings.Cut(written, "/")
	if found && (first == "localhost" || strings.ContainsAny(first, ".:")) {
		written = rest
	}
	return strings.TrimSuffix(registry, "/") + "/" + written
}
