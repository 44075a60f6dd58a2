package imagestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/tmorin/homecloud/internal/imageset"
	"github.com/tmorin/homecloud/internal/term"
)

// Copy is one image on its way into a registry.
type Copy struct{ From, To string }

// Mirror copies images into a registry.
type Mirror struct {
	Store  *Store
	Copies []Copy
	Lock   *imageset.Lock // nil: there is none
	// Architectures to copy; nil: all that an image has, in its own index, which
	// keeps its digest.
	Architectures []string
	DryRun        bool // only look what would be copied
	Steps         *term.Steps
}

// Run copies what the registry lacks, and says how many images that was. What
// is there is neither fetched nor sent.
func (m *Mirror) Run(ctx context.Context) (copied int, err error) {
	if err := m.unambiguous(); err != nil {
		return 0, err
	}
	var references []string
	for _, c := range m.Copies {
		references = append(references, c.From)
	}
	var contents []*Content
	if err := m.Steps.Run("look for the images", func(*term.Step) (err error) {
		if contents, err = m.Store.Find(ctx, references, m.Lock); err != nil {
			return err
		}
		return fit(contents, m.Lock, m.Architectures)
	}); err != nil {
		return 0, err
	}
	for i, c := range m.Copies {
		was, err := m.copy(ctx, contents[i], c.To)
		if err != nil {
			return copied, err
		}
		if was {
			copied++
		}
	}
	return copied, nil
}

// unambiguous refuses two images that would become one.
func (m *Mirror) unambiguous() error {
	from := map[string]string{}
	var errs []error
	for _, c := range m.Copies {
		if other, taken := from[c.To]; taken && other != c.From {
			errs = append(errs, fmt.Errorf("%s and %s would both become %s; give one of them another name, or another mirror", other, c.From, c.To))
		}
		from[c.To] = c.From
	}
	return errors.Join(errs...)
}

// copy copies one image. It is there when its name leads to its digest.
func (m *Mirror) copy(ctx context.Context, c *Content, to string) (copied bool, err error) {
	target, err := m.Store.remote.parse(to)
	if err != nil {
		return false, err
	}
	root, err := m.Store.reduce(ctx, c, m.Architectures)
	if err != nil {
		return false, err
	}
	if digest, is := target.(name.Digest); is && digest.DigestStr() != root.Digest.String() {
		return false, fmt.Errorf("%s: is named by its digest, so all of its architectures have to be copied; leave --arch out", c.Reference)
	}
	there, err := m.isThere(ctx, target, root)
	if err != nil {
		return false, err
	}
	if there || m.DryRun {
		return !there, m.Steps.Run(to, func(step *term.Step) error {
			if there {
				step.Done("is there")
			} else {
				step.Done("would be copied")
			}
			return nil
		})
	}
	if err := m.Store.fetchStep(ctx, m.Steps, c, m.Architectures); err != nil {
		return false, err
	}
	return true, m.Steps.Run("→ "+to, func(step *term.Step) error {
		var sent atomic.Int64
		tell := func(bytes int64) { step.Waits("%s sent", Megabytes(sent.Add(bytes))) }
		if err := m.push(ctx, target, c, root, tell); err != nil {
			return sendError(to, target.Context().Registry, err)
		}
		step.Done("%s sent", Megabytes(sent.Load()))
		return nil
	})
}

// reduce is the top of what is copied: the image's own, or an index of some of
// its architectures.
func (s *Store) reduce(ctx context.Context, c *Content, architectures []string) (v1.Descriptor, error) {
	if !c.Root.MediaType.IsIndex() {
		return c.Root, nil
	}
	if architectures == nil {
		text, err := c.source.manifest(ctx, c.Reference, c.Root.Digest)
		if err != nil {
			return v1.Descriptor{}, err
		}
		all, err := platformsOf(text)
		if err == nil && len(all) > len(c.platforms) {
			err = fmt.Errorf("%s: the archives hold it for %s only, its index names more; name them with --arch", c.Reference, strings.Join(c.Architectures(), ", "))
		}
		return c.Root, err
	}
	var platforms []platform
	for _, architecture := range architectures {
		p, err := c.platform(architecture)
		if err != nil {
			return v1.Descriptor{}, err
		}
		platforms = append(platforms, p)
	}
	index, err := indexOf(platforms)
	if err != nil {
		return v1.Descriptor{}, err
	}
	digest, err := s.cache.put(index)
	return v1.Descriptor{MediaType: types.OCIImageIndex, Size: int64(len(index)), Digest: digest}, err
}

func (m *Mirror) isThere(ctx context.Context, target name.Reference, root v1.Descriptor) (bool, error) {
	found, err := remote.Head(target, m.Store.remote.options(ctx)...)
	var answer *transport.Error
	switch {
	case err == nil:
		return found.Digest == root.Digest, nil
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return false, nil
	}
	return false, sendError(target.String(), target.Context().Registry, err)
}

// push sends an image. Blobs that the registry has aren't sent.
func (m *Mirror) push(ctx context.Context, target name.Reference, c *Content, root v1.Descriptor, sent func(int64)) error {
	options := append(m.Store.remote.options(ctx), remote.WithJobs(3))
	if !root.MediaType.IsIndex() {
		image, err := m.Store.image(ctx, c, root, sent)
		if err != nil {
			return err
		}
		return remote.Write(target, image, options...)
	}
	text, ok := m.Store.cache.read(root.Digest)
	if !ok {
		return fmt.Errorf("%s is gone from the cache", root.Digest)
	}
	index := &cachedIndex{store: m.Store, content: c, root: root, text: text, sent: sent, ctx: ctx}
	return remote.WriteIndex(target, index, options...)
}

func sendError(to string, registry name.Registry, err error) error {
	var answer *transport.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &answer):
		return fmt.Errorf("%s: %s: %w; run the same command again, it goes on where it stopped (--insecure is for a registry without TLS)", to, registry.RegistryStr(), err)
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%s: %s refuses it (%d); log in with `docker login %[2]s`, which keeps the account where hcchart finds it", to, registry.RegistryStr(), answer.StatusCode)
	}
	return fmt.Errorf("%s: %s answers %w; run the same command again, it goes on where it stopped", to, registry.RegistryStr(), err)
}

// image is one manifest of the cache, as the registry library wants it.
func (s *Store) image(ctx context.Context, c *Content, manifest v1.Descriptor, sent func(int64)) (v1.Image, error) {
	text, err := c.source.manifest(ctx, c.Reference, manifest.Digest)
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(&cachedImage{store: s, manifest: manifest, text: text, sent: sent})
}

type cachedImage struct {
	store    *Store
	manifest v1.Descriptor
	text     []byte
	sent     func(int64)
}

var _ partial.CompressedImageCore = (*cachedImage)(nil)

func (i *cachedImage) MediaType() (types.MediaType, error) { return mediaTypeOf(i.text), nil }

func (i *cachedImage) RawManifest() ([]byte, error) { return i.text, nil }

func (i *cachedImage) RawConfigFile() ([]byte, error) {
	manifest, err := v1.ParseManifest(bytes.NewReader(i.text))
	if err != nil {
		return nil, err
	}
	config, ok := i.store.cache.read(manifest.Config.Digest)
	if !ok {
		return nil, fmt.Errorf("%s is gone from the cache", manifest.Config.Digest)
	}
	return config, nil
}

func (i *cachedImage) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	manifest, err := v1.ParseManifest(bytes.NewReader(i.text))
	if err != nil {
		return nil, err
	}
	for _, layer := range append(manifest.Layers, manifest.Config) {
		if layer.Digest == digest {
			return &cachedLayer{store: i.store, blob: layer, sent: i.sent}, nil
		}
	}
	return nil, fmt.Errorf("%s is no layer of %s", digest, i.manifest.Digest)
}

type cachedLayer struct {
	store *Store
	blob  v1.Descriptor
	sent  func(int64)
}

func (l *cachedLayer) Digest() (v1.Hash, error)            { return l.blob.Digest, nil }
func (l *cachedLayer) Size() (int64, error)                { return l.blob.Size, nil }
func (l *cachedLayer) MediaType() (types.MediaType, error) { return l.blob.MediaType, nil }
func (l *cachedLayer) Compressed() (io.ReadCloser, error) {
	file, err := os.Open(l.store.cache.path(l.blob.Digest))
	if err != nil {
		return nil, err
	}
	return &counted{file, l.sent}, nil
}

type counted struct {
	io.ReadCloser
	count func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.count(int64(n))
	return n, err
}

// cachedIndex is an index of the cache, as the registry library wants it.
type cachedIndex struct {
	ctx     context.Context // the library's interface has none
	store   *Store
	content *Content
	root    v1.Descriptor
	text    []byte
	sent    func(int64)
}

var _ v1.ImageIndex = (*cachedIndex)(nil)

func (i *cachedIndex) MediaType() (types.MediaType, error) { return mediaTypeOf(i.text), nil }
func (i *cachedIndex) Digest() (v1.Hash, error)            { return i.root.Digest, nil }
func (i *cachedIndex) Size() (int64, error)                { return i.root.Size, nil }
func (i *cachedIndex) RawManifest() ([]byte, error)        { return i.text, nil }
func (i *cachedIndex) IndexManifest() (*v1.IndexManifest, error) {
	return v1.ParseIndexManifest(bytes.NewReader(i.text))
}

func (i *cachedIndex) Image(digest v1.Hash) (v1.Image, error) {
	index, err := i.IndexManifest()
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(index.Manifests, func(m v1.Descriptor) bool { return m.Digest == digest })
	if at < 0 {
		return nil, fmt.Errorf("%s is not in the index %s", digest, i.root.Digest)
	}
	return i.store.image(i.ctx, i.content, index.Manifests[at], i.sent)
}

func (i *cachedIndex) ImageIndex(digest v1.Hash) (v1.ImageIndex, error) {
	return nil, fmt.Errorf("%s: holds an index in its index, %s, which can't be copied", i.content.Reference, digest)
}
