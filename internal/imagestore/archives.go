package imagestore

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/tmorin/homecloud/internal/imageset"
)

// archives is a source of images in files: what `docker save`, buildah and
// containerd write, and what this package writes.
type archives struct {
	cache  *Cache
	images map[string]held // by reference
}

// held is an image in archives.
type held struct {
	index     v1.Descriptor // the whole one that the archive kept; zero: none
	platforms []platform
}

// add reads one archive into the cache.
func (a *archives) add(ctx context.Context, file string) error {
	as := ""
	if before, after, ok := strings.Cut(file, "="); ok {
		as, file = before, after
		var err error
		if as, err = imageset.Normalise(as); err != nil {
			return err
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	images, err := a.read(ctx, f)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if as == "" {
		delete(images, "")
	}
	if len(images) == 0 {
		return fmt.Errorf("%s: holds no image with a name; write REFERENCE=%[1]s", file)
	}
	if as != "" {
		var only []platform
		for _, image := range images {
			for _, p := range image.platforms {
				if only = append(only, p); only[0].manifest.Digest != p.manifest.Digest {
					return fmt.Errorf("%s: holds several images, so none can be taken for %s", file, as)
				}
			}
		}
		images = map[string]held{as: {platforms: only[:1]}}
	}
	for reference, image := range images {
		known := a.images[reference]
		known.index = image.index
		for _, p := range image.platforms {
			if i := slices.IndexFunc(known.platforms, func(k platform) bool {
				return k.system == p.system && k.architecture == p.architecture && k.variant == p.variant
			}); i >= 0 {
				if known.platforms[i].manifest.Digest != p.manifest.Digest {
					return fmt.Errorf("%s: another archive holds another %s for %s; name one of them with --from", file, reference, p.architecture)
				}
				continue
			}
			known.platforms = append(known.platforms, p)
		}
		a.images[reference] = known
	}
	return nil
}

func (a *archives) read(ctx context.Context, file io.Reader) (map[string]held, error) {
	plain, err := decompressed(file)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	u := &unpacked{cache: a.cache, blobs: map[string]v1.Descriptor{}, links: map[string]string{}}
	if err := u.read(&cancelled{ctx, plain}); err != nil {
		return nil, err
	}
	switch {
	case u.has("index.json"):
		return u.layout()
	case u.has("manifest.json"):
		return u.dockerArchive()
	}
	return nil, errors.New("is no archive of images: neither index.json nor manifest.json is in there")
}

// decompressed gives the plain bytes of a file that may be compressed with gzip
// or zstd, whatever its name.
func decompressed(file io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(file, 1<<16)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(buffered)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		reader, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return reader.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}

// unpacked is an archive whose files are in the cache.
type unpacked struct {
	cache *Cache
	blobs map[string]v1.Descriptor // by path
	links map[string]string
}

func (u *unpacked) read(r io.Reader) error {
	for files := tar.NewReader(r); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) { // what follows still says whether all of it arrived
			if _, err = io.Copy(io.Discard, r); err == nil {
				return nil
			}
		}
		if err != nil {
			return fmt.Errorf("is cut short or no archive: %w", err)
		}
		name := path.Clean(header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			var blob v1.Descriptor
			if blob.Digest, blob.Size, err = u.cache.take(files); errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("is cut short or no archive: %w", err)
			} else if err != nil {
				return err
			}
			if hex, is := strings.CutPrefix(name, "blobs/sha256/"); is && hex != blob.Digest.Hex {
				return fmt.Errorf("%s: %w", name, &damagedError{want: v1.Hash{Algorithm: "sha256", Hex: hex}, got: blob.Digest})
			}
			u.blobs[name] = blob
		case tar.TypeLink:
			u.links[name] = path.Clean(header.Linkname)
		case tar.TypeSymlink: // docker's of a layer that two images share
			u.links[name] = path.Join(path.Dir(name), header.Linkname)
		}
	}
}

func (u *unpacked) has(name string) bool {
	_, ok := u.blobs[name]
	return ok
}

func (u *unpacked) text(name string) ([]byte, v1.Descriptor, error) {
	blob, err := u.blob(name)
	if err != nil {
		return nil, blob, err
	}
	text, ok := u.cache.read(blob.Digest)
	if !ok {
		return nil, blob, fmt.Errorf("%s: was damaged in the cache", name)
	}
	return text, blob, nil
}

func (u *unpacked) blob(name string) (v1.Descriptor, error) {
	name = path.Clean(name)
	if target, is := u.links[name]; is {
		name = target
	}
	blob, ok := u.blobs[name]
	if !ok {
		return blob, fmt.Errorf("%s is missing in it", name)
	}
	return blob, nil
}

// containerdName carries an image's whole name in an index.
const (
	containerdName = "io.containerd.image.name"
	ociName        = "org.opencontainers.image.ref.name"
)

// layout reads OCI's form.
func (u *unpacked) layout() (map[string]held, error) {
	text, _, err := u.text("index.json")
	if err != nil {
		return nil, err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	images := map[string]held{}
	for _, m := range index.Manifests {
		name := m.Annotations[containerdName]
		if name == "" && strings.ContainsAny(m.Annotations[ociName], "/:") { // else only a tag
			name = m.Annotations[ociName]
		}
		if name == "" {
			continue
		}
		if name, err = imageset.Normalise(name); err != nil {
			return nil, fmt.Errorf("index.json: %w", err)
		}
		text, blob, err := u.text("blobs/sha256/" + m.Digest.Hex)
		if err != nil {
			return nil, err
		}
		if !mediaTypeOf(text).IsIndex() {
			p, err := u.platform(text, v1.Descriptor{MediaType: mediaTypeOf(text), Size: blob.Size, Digest: blob.Digest})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			images[name] = held{platforms: append(images[name].platforms, p)}
			continue
		}
		image := held{index: v1.Descriptor{MediaType: mediaTypeOf(text), Size: blob.Size, Digest: blob.Digest}}
		below, err := platformsOf(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, p := range below {
			if u.has("blobs/sha256/" + p.manifest.Digest.Hex) { // others are in other archives
				image.platforms = append(image.platforms, p)
			}
		}
		images[name] = image
	}
	return images, nil
}

// platform looks what a manifest is for, and whether all of it is there.
func (u *unpacked) platform(text []byte, manifest v1.Descriptor) (platform, error) {
	parsed, err := v1.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return platform{}, err
	}
	for _, layer := range parsed.Layers {
		if !u.cache.has(layer) {
			return platform{}, fmt.Errorf("%s is missing in it", layer.Digest)
		}
	}
	config, ok := u.cache.read(parsed.Config.Digest)
	if !ok {
		return platform{}, fmt.Errorf("%s is missing in it", parsed.Config.Digest)
	}
	made, err := v1.ParseConfigFile(bytes.NewReader(config))
	if err != nil {
		return platform{}, err
	}
	return platform{made.OS, made.Architecture, made.Variant, manifest}, nil
}

// dockerArchive reads what `docker save` and buildah write. It has no manifests
// in a registry's sense, so they are made: the same for the same layers.
func (u *unpacked) dockerArchive() (map[string]held, error) {
	text, _, err := u.text("manifest.json")
	if err != nil {
		return nil, err
	}
	var listed []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(text, &listed); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	images := map[string]held{}
	for _, entry := range listed {
		made := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{}}
		if made.Config, err = u.blob(entry.Config); err != nil {
			return nil, err
		}
		made.Config.MediaType = types.OCIConfigJSON
		for _, name := range entry.Layers {
			layer, err := u.blob(name)
			if err != nil {
				return nil, err
			}
			if layer.MediaType, err = u.cache.layerType(layer.Digest); err != nil {
				return nil, err
			}
			made.Layers = append(made.Layers, layer)
		}
		text, err := json.Marshal(made)
		if err != nil {
			return nil, err
		}
		digest, err := u.cache.put(text)
		if err != nil {
			return nil, err
		}
		p, err := u.platform(text, v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(len(text)), Digest: digest})
		if err != nil {
			return nil, err
		}
		if len(entry.RepoTags) == 0 {
			images[""] = held{platforms: append(images[""].platforms, p)}
		}
		for _, tag := range entry.RepoTags {
			name, err := imageset.Normalise(tag)
			if err != nil {
				return nil, err
			}
			images[name] = held{platforms: append(images[name].platforms, p)}
		}
	}
	return images, nil
}

// layerType tells a layer's compression by its first bytes.
func (c *Cache) layerType(digest v1.Hash) (types.MediaType, error) {
	file, err := os.Open(c.path(digest))
	if err != nil {
		return "", err
	}
	defer file.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(file, magic); err != nil {
		return "", err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return types.OCILayer, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return types.OCILayerZStd, nil
	}
	return types.OCIUncompressedLayer, nil
}

func (a *archives) find(_ context.Context, reference string, _ v1.Hash) (*Content, error) {
	image, ok := a.images[reference]
	if !ok {
		return nil, errAbsent
	}
	c := &Content{Reference: reference, source: a, platforms: image.platforms, Root: image.index}
	switch {
	case image.index.Size > 0:
	case len(image.platforms) == 1:
		c.Root = image.platforms[0].manifest
	default:
		index, err := indexOf(image.platforms)
		if err != nil {
			return nil, err
		}
		digest, err := a.cache.put(index)
		if err != nil {
			return nil, err
		}
		c.Root = v1.Descriptor{MediaType: types.OCIImageIndex, Size: int64(len(index)), Digest: digest}
	}
	if _, named, pinned := strings.Cut(reference, "@"); pinned && named != c.Root.Digest.String() {
		return nil, fmt.Errorf("%s: an archive holds %s under this name", reference, c.Root.Digest)
	}
	return c, nil
}

func (a *archives) open(_ context.Context, reference string, blob v1.Descriptor, _ int64) (io.ReadCloser, int64, error) {
	return nil, 0, refusedError{fmt.Errorf("%s: %s, which its archive held, is gone from the cache; run the same command again", reference, blob.Digest)}
}

func (a *archives) manifest(_ context.Context, reference string, digest v1.Hash) ([]byte, error) {
	text, ok := a.cache.read(digest)
	if !ok {
		return nil, fmt.Errorf("%s: the manifest %s, which its archive held, is gone from the cache; run the same command again", reference, digest)
	}
	return text, nil
}
