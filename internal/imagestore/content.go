package imagestore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/tmorin/homecloud/internal/imageset"
)

// Content is what a reference means somewhere: one manifest, or an index of
// several.
type Content struct {
	Reference string
	Root      v1.Descriptor
	platforms []platform // those of other systems, and attestations, too
	source    source
}

// platform is one manifest and what it is for.
type platform struct {
	system, architecture, variant string
	manifest                      v1.Descriptor
}

func (p platform) isFor(architecture string) bool {
	return p.system == "linux" && p.architecture == architecture
}

// source is where images come from.
type source interface {
	// find says what a reference means here. A digest, when there is one, is what
	// it has to be. errAbsent: it isn't here.
	find(ctx context.Context, reference string, locked v1.Hash) (*Content, error)
	// open reads a blob of an image from an offset on.
	open(ctx context.Context, reference string, blob v1.Descriptor, offset int64) (body io.ReadCloser, start int64, err error)
	// manifest reads a manifest of an image.
	manifest(ctx context.Context, reference string, digest v1.Hash) ([]byte, error)
}

var errAbsent = errors.New("isn't there")

// Architectures are those that the content is for on Linux, sorted.
func (c *Content) Architectures() []string {
	var names []string
	for _, p := range c.platforms {
		if p.isFor(p.architecture) {
			names = append(names, p.architecture)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// preference of variants, best first, where an index has several for one
// architecture: what every board of that kind runs.
var preference = map[string][]string{
	"amd64": {"", "v1", "v2", "v3", "v4"},
	"arm64": {"v8", ""},
	"arm":   {"v7", "", "v6", "v5"},
}

// platform finds the manifest for an architecture.
func (c *Content) platform(architecture string) (platform, error) {
	rank := func(p platform) int {
		if i := slices.Index(preference[architecture], p.variant); i >= 0 {
			return i
		}
		return len(preference[architecture])
	}
	var found []platform
	for _, p := range c.platforms {
		if p.isFor(architecture) {
			found = append(found, p)
		}
	}
	if found == nil {
		return platform{}, fmt.Errorf("%s: is not made for %s, only for %s; leave the architecture out with --arch, or run another image", c.Reference, architecture, cmp.Or(strings.Join(c.Architectures(), ", "), "other systems than Linux"))
	}
	return slices.MinFunc(found, func(a, b platform) int { return rank(a) - rank(b) }), nil
}

// platformsOf reads an index. An attestation is for a system "unknown".
func platformsOf(index []byte) ([]platform, error) {
	parsed, err := v1.ParseIndexManifest(bytes.NewReader(index))
	if err != nil {
		return nil, err
	}
	var platforms []platform
	for _, m := range parsed.Manifests {
		if !m.MediaType.IsImage() {
			return nil, fmt.Errorf("holds %s, which is %s and no image", m.Digest, m.MediaType)
		}
		p := platform{manifest: v1.Descriptor{MediaType: m.MediaType, Size: m.Size, Digest: m.Digest}}
		if m.Platform != nil {
			p.system, p.architecture, p.variant = m.Platform.OS, m.Platform.Architecture, m.Platform.Variant
		}
		platforms = append(platforms, p)
	}
	return platforms, nil
}

// indexOf makes an index of manifests that came alone, the same for the same
// ones.
func indexOf(platforms []platform) ([]byte, error) {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	for _, p := range platforms {
		index.Manifests = append(index.Manifests, v1.Descriptor{
			MediaType: p.manifest.MediaType, Size: p.manifest.Size, Digest: p.manifest.Digest,
			Platform: &v1.Platform{OS: p.system, Architecture: p.architecture, Variant: p.variant},
		})
	}
	slices.SortFunc(index.Manifests, func(a, b v1.Descriptor) int {
		return cmp.Or(cmp.Compare(a.Platform.Architecture, b.Platform.Architecture), cmp.Compare(a.Platform.Variant, b.Platform.Variant),
			cmp.Compare(a.Digest.String(), b.Digest.String()))
	})
	return json.Marshal(index)
}

// fit says everything that is wrong with images before one of them is fetched:
// each has to be made for these architectures (nil: those that it has), and to
// be what the lock says.
func fit(contents []*Content, lock *imageset.Lock, architectures []string) error {
	var errs []error
	for _, c := range contents {
		wanted := architectures
		if wanted == nil {
			wanted = c.Architectures()
		}
		locked, isLocked := lock.Find(c.Reference)
		for _, architecture := range wanted {
			p, err := c.platform(architecture)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			// A registry was asked for the locked digest; an archive may hold anything.
			if want := locked.Manifests[architecture]; isLocked && c.Root.Digest.String() != locked.Digest && want != p.manifest.Digest.String() {
				errs = append(errs, fmt.Errorf("%s: is %s for %s, the lock file says %s; if the new one is wanted, `hcchart images lock` writes it down",
					c.Reference, p.manifest.Digest, architecture, cmp.Or(want, "nothing of it")))
			}
		}
	}
	return errors.Join(errs...)
}

// unlocked counts what the lock doesn't hold.
func unlocked(contents []*Content, lock *imageset.Lock) (count int) {
	for _, c := range contents {
		if _, ok := lock.Find(c.Reference); !ok {
			count++
		}
	}
	return count
}
