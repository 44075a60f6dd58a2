package imagestore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/tmorin/homecloud/internal/imageset"
)

// Options of a Store. The zero value takes images from their registries by way
// of the usual cache.
type Options struct {
	Cache string // folder; empty: DefaultCache
	// Archives are asked before registries. One may be written REFERENCE=FILE: the
	// image in FILE, whatever it is called there, is taken for REFERENCE.
	Archives []string
	Insecure bool // registries may be asked without TLS
}

// Store finds images and fetches them.
type Store struct {
	cache    *Cache
	archives *archives
	remote   *registries
	pause    time.Duration // before the second attempt; it doubles
}

// Open makes the cache and reads the archives.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Cache == "" {
		var err error
		if o.Cache, err = DefaultCache(); err != nil {
			return nil, err
		}
	}
	cache, err := OpenCache(o.Cache)
	if err != nil {
		return nil, err
	}
	s := &Store{cache: cache, remote: newRegistries(cache, o.Insecure), archives: &archives{cache: cache, images: map[string]held{}}, pause: time.Second}
	for _, archive := range o.Archives {
		if err := s.archives.add(ctx, archive); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Find says what each image is, for all of them or not at all. Locked images
// are asked for by their digest, so that a tag that was moved changes nothing.
func (s *Store) Find(ctx context.Context, references []string, lock *imageset.Lock) ([]*Content, error) {
	contents, errs := make([]*Content, len(references)), make([]error, len(references))
	var group errgroup.Group
	group.SetLimit(6)
	for i, reference := range references {
		group.Go(func() error {
			contents[i], errs[i] = s.find(ctx, reference, lock)
			return nil
		})
	}
	_ = group.Wait() // its errors are in errs: one image that isn't there must not hide the next
	return contents, errors.Join(errs...)
}

func (s *Store) find(ctx context.Context, reference string, lock *imageset.Lock) (*Content, error) {
	var digest v1.Hash
	if locked, ok := lock.Find(reference); ok {
		var err error
		if digest, err = v1.NewHash(locked.Digest); err != nil {
			return nil, err
		}
	}
	c, err := s.archives.find(ctx, reference, digest)
	if errors.Is(err, errAbsent) {
		c, err = s.remote.find(ctx, reference, digest)
	}
	return c, err
}

// Lock asks what the images are now.
func (s *Store) Lock(ctx context.Context, references []string) (map[string]imageset.Locked, error) {
	contents, err := s.Find(ctx, references, nil)
	if err != nil {
		return nil, err
	}
	locked := map[string]imageset.Locked{}
	for _, c := range contents {
		entry := imageset.Locked{Digest: c.Root.Digest.String(), Manifests: map[string]string{}}
		for _, architecture := range c.Architectures() {
			p, err := c.platform(architecture)
			if err != nil {
				return nil, err
			}
			entry.Manifests[architecture] = p.manifest.Digest.String()
		}
		if entry.Licence, err = s.licence(ctx, c); err != nil {
			return nil, err
		}
		locked[c.Reference] = entry
	}
	return locked, nil
}

const licenceLabel = "org.opencontainers.image.licenses"

// licence is what an image says of itself; empty: nothing.
func (s *Store) licence(ctx context.Context, c *Content) (string, error) {
	for _, architecture := range c.Architectures() {
		p, err := c.platform(architecture)
		if err != nil {
			return "", err
		}
		manifest, err := s.manifest(ctx, c, p)
		if err != nil {
			return "", err
		}
		if err := s.fetchBlob(ctx, c, manifest.Config, func(int64) {}); err != nil {
			return "", err
		}
		text, _ := s.cache.read(manifest.Config.Digest)
		config, err := v1.ParseConfigFile(bytes.NewReader(text))
		if err != nil {
			return "", fmt.Errorf("%s: its configuration: %w", c.Reference, err)
		}
		if licence := cmp.Or(config.Config.Labels[licenceLabel], manifest.Annotations[licenceLabel]); licence != "" {
			return licence, nil
		}
	}
	return "", nil
}

func (s *Store) manifest(ctx context.Context, c *Content, p platform) (*v1.Manifest, error) {
	text, err := c.source.manifest(ctx, c.Reference, p.manifest.Digest)
	if err != nil {
		return nil, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: its manifest for %s: %w", c.Reference, p.architecture, err)
	}
	return manifest, nil
}

// blobs are those of some manifests, each once.
func (s *Store) blobs(ctx context.Context, c *Content, platforms []platform) ([]v1.Descriptor, error) {
	var blobs []v1.Descriptor
	for _, p := range platforms {
		manifest, err := s.manifest(ctx, c, p)
		if err != nil {
			return nil, err
		}
		for _, blob := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
			if !blob.MediaType.IsDistributable() {
				continue // Windows' own, which nobody may pass on
			}
			if !slices.ContainsFunc(blobs, func(b v1.Descriptor) bool { return b.Digest == blob.Digest }) {
				blobs = append(blobs, blob)
			}
		}
	}
	return blobs, nil
}

// fetch brings the blobs of some manifests into the cache, and says how many
// bytes they are and how many were there before. waits is told how far it is.
func (s *Store) fetch(ctx context.Context, c *Content, platforms []platform, waits func(done, of int64)) (all, before int64, err error) {
	blobs, err := s.blobs(ctx, c, platforms)
	if err != nil {
		return 0, 0, err
	}
	for _, blob := range blobs {
		all += blob.Size
		if s.cache.has(blob) {
			before += blob.Size
		}
	}
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(3)
	for _, blob := range blobs {
		group.Go(func() error {
			return s.fetchBlob(ctx, c, blob, func(bytes int64) { waits(done.Add(bytes), all) })
		})
	}
	return all, before, group.Wait()
}

// attempts is how often a blob is asked for before it is given up. Each goes on
// where the one before was cut off.
const attempts = 5

func (s *Store) fetchBlob(ctx context.Context, c *Content, blob v1.Descriptor, arrived func(int64)) error {
	open := func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		return c.source.open(ctx, c.Reference, blob, offset)
	}
	pause := s.pause
	for attempt := 1; ; attempt++ {
		var sum int64 // what this attempt has told of, to be taken back
		err := s.cache.fetch(ctx, blob, open, func(bytes int64) {
			sum += bytes
			arrived(bytes)
		})
		var refused refusedError
		if err == nil || ctx.Err() != nil || errors.As(err, &refused) {
			return err
		}
		arrived(-sum)
		if attempt == attempts {
			return fmt.Errorf("%s: %s: %w", c.Reference, blob.Digest, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
}
