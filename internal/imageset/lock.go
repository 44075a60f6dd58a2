package imageset

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Lock says what each image was when somebody looked: the content behind a tag,
// which its owner may change. It is images.lock.yaml.
type Lock struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Images     map[string]Locked `json:"images"` // by reference
}

// Locked is one image's content.
type Locked struct {
	// Digest is what the reference leads to: an index of several architectures, or
	// one manifest.
	Digest  string `json:"digest"`
	Licence string `json:"licence,omitempty"` // as the image says
	// Manifests are the digests of the manifests by architecture.
	Manifests map[string]string `json:"manifests"`
}

func (l Locked) architectures() []string { return slices.Sorted(maps.Keys(l.Manifests)) }

const (
	lockVersion = "homecloud/v1alpha1"
	lockKind    = "ImageLock"
)

// LockPath is the lock's place beside a cluster file.
func LockPath(cluster string) string { return filepath.Join(filepath.Dir(cluster), "images.lock.yaml") }

// Find gives what is locked of a reference. A lock that is nil locks nothing.
func (l *Lock) Find(reference string) (Locked, bool) {
	if l == nil {
		return Locked{}, false
	}
	locked, ok := l.Images[reference]
	return locked, ok
}

var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ParseLock reads a lock. Each thing that is wrong says how to mend it: a lock
// that is read wrongly would pass content that nobody looked at.
func ParseLock(name string, text []byte) (*Lock, error) {
	var lock Lock
	if err := yaml.UnmarshalStrict(text, &lock); err != nil {
		return nil, fmt.Errorf("%s: %w; `hcchart images lock` writes it anew", name, err)
	}
	if lock.APIVersion != lockVersion || lock.Kind != lockKind {
		return nil, fmt.Errorf("%s: is %s %s and not %s %s; `hcchart images lock` writes it anew", name, lock.APIVersion, lock.Kind, lockVersion, lockKind)
	}
	for _, image := range slices.Sorted(maps.Keys(lock.Images)) {
		locked := lock.Images[image]
		for _, d := range append(slices.Sorted(maps.Values(locked.Manifests)), locked.Digest) {
			if !digest.MatchString(d) {
				return nil, fmt.Errorf("%s: images.%s: %q is no digest; `hcchart images lock` writes it anew", name, image, d)
			}
		}
	}
	return &lock, nil
}

// Text is the lock as a file.
func (l *Lock) Text() ([]byte, error) {
	l.APIVersion, l.Kind = lockVersion, lockKind
	body, err := yaml.Marshal(l)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	text.WriteString("# Written by `hcchart images lock`: what each image was then. Commit it; save and mirror refuse anything else.\n")
	text.Write(body)
	return text.Bytes(), nil
}

// Updated is the lock with what images are now, and what changed, a line each.
// Images of others stay; another tag of an image that is among them goes.
func (l *Lock) Updated(now map[string]Locked) (*Lock, []string) {
	updated := &Lock{Images: maps.Clone(now)}
	repositories := map[string]bool{}
	for name := range now {
		repositories[repository(name)] = true
	}
	var changes []string
	if l != nil {
		for name, before := range l.Images {
			switch after, still := now[name]; {
			case still && after.Digest != before.Digest:
				changes = append(changes, fmt.Sprintf("%s: is %s now, was %s", name, after.Digest, before.Digest))
			case still && !reflect.DeepEqual(after, before):
				changes = append(changes, fmt.Sprintf("%s: was written down otherwise", name))
			case !still && repositories[repository(name)]:
				changes = append(changes, fmt.Sprintf("%s: is run no longer", name))
			case !still:
				updated.Images[name] = before
			}
		}
	}
	for name, locked := range now {
		if _, known := l.Find(name); !known {
			changes = append(changes, fmt.Sprintf("%s: is %s", name, locked.Digest))
		}
	}
	slices.Sort(changes)
	return updated, changes
}

// repository is a reference without its tag or digest.
func repository(name string) string {
	if at := strings.Index(name, "@"); at >= 0 {
		return name[:at]
	}
	return name[:strings.LastIndex(name, ":")]
}
