package imagestore

import (
	"archive/tar"
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// Archive is a file with the images for one architecture.
type Archive struct {
	Path         string
	Architecture string
	Size         int64
	SHA256       string
	Compression  string  // one of Compressions
	Images       []Named // sorted by name
}

// Plain is what an archive is without its compression.
type Plain struct {
	Size   int64
	SHA256 string
}

// Plain measures the archive without its compression.
func (a *Archive) Plain(ctx context.Context) (Plain, error) {
	file, err := a.OpenPlain()
	if err != nil {
		return Plain{}, err
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, &cancelled{ctx, file})
	return Plain{Size: size, SHA256: sumOf(sum).Hex}, err
}

// OpenPlain reads the archive without its compression.
func (a *Archive) OpenPlain() (io.ReadCloser, error) {
	file, err := os.Open(a.Path)
	if err != nil {
		return nil, err
	}
	plain, err := decompressed(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return both{plain, file}, nil
}

// both closes a reader and what it reads from.
type both struct {
	io.ReadCloser
	below io.Closer
}

func (b both) Close() error { return errors.Join(b.ReadCloser.Close(), b.below.Close()) }

// Named is an image as an archive holds it.
type Named struct {
	Name   string
	Digest string
}

// Compressions of an archive, by the end of its name. k3s reads them all.
var Compressions = []string{"zst", "gz", "none"}

func suffix(compression string) string {
	if compression == "none" {
		return ".tar"
	}
	return ".tar." + compression
}

// compressionOf tells by the name, as k3s does.
func compressionOf(path string) string {
	for _, compression := range Compressions {
		if strings.HasSuffix(path, suffix(compression)) {
			return compression
		}
	}
	return "none"
}

// write makes the archive of some images for an architecture: a layout as OCI
// describes it, with the names that containerd reads. The same images give the
// same bytes. All blobs have to be in the cache.
func (s *Store) write(ctx context.Context, path, compression, architecture string, contents []*Content, written func(bytes int64)) (*Archive, error) {
	archive := &Archive{Path: path, Architecture: architecture, Compression: compression}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	blobs := map[v1.Hash]v1.Descriptor{}
	for _, c := range contents {
		p, err := c.platform(architecture)
		if err != nil {
			return nil, err
		}
		needed, err := s.blobs(ctx, c, []platform{p})
		if err != nil {
			return nil, err
		}
		top := v1.Descriptor{MediaType: p.manifest.MediaType, Size: p.manifest.Size, Digest: p.manifest.Digest,
			Platform: &v1.Platform{OS: p.system, Architecture: p.architecture, Variant: p.variant}}
		needed = append(needed, top)
		// A name with a digest means that digest, although an archive holds one
		// architecture of its index only.
		if strings.Contains(c.Reference, "@") && c.Root.Digest != p.manifest.Digest {
			top = v1.Descriptor{MediaType: c.Root.MediaType, Size: c.Root.Size, Digest: c.Root.Digest}
			needed = append(needed, top)
		}
		top.Annotations = map[string]string{containerdName: c.Reference}
		if i := strings.LastIndex(c.Reference, ":"); !strings.Contains(c.Reference, "@") {
			top.Annotations[ociName] = c.Reference[i+1:]
		}
		index.Manifests = append(index.Manifests, top)
		archive.Images = append(archive.Images, Named{Name: c.Reference, Digest: top.Digest.String()})
		for _, blob := range needed {
			blobs[blob.Digest] = blob
		}
	}
	slices.SortFunc(index.Manifests, func(a, b v1.Descriptor) int {
		return cmp.Compare(a.Annotations[containerdName], b.Annotations[containerdName])
	})
	slices.SortFunc(archive.Images, func(a, b Named) int { return cmp.Compare(a.Name, b.Name) })
	text, err := json.Marshal(index)
	if err != nil {
		return nil, err
	}
	return archive, s.writeFile(ctx, archive, compression, text, blobs, written)
}

// writeFile puts the archive together beside its place and moves it there when
// it is whole and on the disk.
func (s *Store) writeFile(ctx context.Context, archive *Archive, compression string, index []byte, blobs map[v1.Hash]v1.Descriptor, written func(int64)) error {
	file, err := os.CreateTemp(filepath.Dir(archive.Path), "."+filepath.Base(archive.Path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // nothing is there any more when all went well
	sum := sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(file, sum, tally(func(n int64) { archive.Size += n })), 1<<16)
	err = func() error {
		packed, err := compressor(buffered, compression)
		if err != nil {
			return err
		}
		if err := s.writeLayout(ctx, packed, index, blobs, written); err != nil {
			return err
		}
		return errors.Join(packed.Close(), buffered.Flush())
	}()
	if err != nil {
		_ = file.Close()
		return err
	}
	archive.SHA256 = sumOf(sum).Hex
	return settle(file, archive.Path)
}

// compressor makes the same bytes of the same input, on any machine.
func compressor(w io.Writer, compression string) (io.WriteCloser, error) {
	switch compression {
	case "zst":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	case "gz":
		return gzip.NewWriter(w), nil
	}
	return unclosed{w}, nil
}

type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

func (s *Store) writeLayout(ctx context.Context, w io.Writer, index []byte, blobs map[v1.Hash]v1.Descriptor, written func(int64)) error {
	out := tar.NewWriter(w)
	begin := func(name string, size int64) error {
		return out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR})
	}
	for _, small := range []struct {
		name string
		text []byte
	}{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {"index.json", index}} {
		if err := begin(small.name, int64(len(small.text))); err != nil {
			return err
		}
		if _, err := out.Write(small.text); err != nil {
			return err
		}
	}
	sorted := slices.SortedFunc(maps.Values(blobs), func(a, b v1.Descriptor) int { return cmp.Compare(a.Digest.Hex, b.Digest.Hex) })
	for _, blob := range sorted {
		if err := begin("blobs/sha256/"+blob.Digest.Hex, blob.Size); err != nil {
			return err
		}
		if err := s.cache.copyTo(ctx, io.MultiWriter(out, tally(written)), blob); err != nil {
			return err
		}
	}
	return out.Close()
}

// ReadArchive says what an archive holds, without unpacking it. It is meant for
// those that Save wrote: each for one architecture.
func ReadArchive(ctx context.Context, path string) (*Archive, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	archive := &Archive{Path: path, Compression: compressionOf(path)}
	sum := sha256.New()
	whole := io.TeeReader(&cancelled{ctx, file}, io.MultiWriter(sum, tally(func(n int64) { archive.Size += n })))
	plain, err := decompressed(whole)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer plain.Close()
	var index *v1.IndexManifest
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: is cut short or no archive: %w", path, err)
		}
		if header.Name == "index.json" {
			if index, err = v1.ParseIndexManifest(files); err != nil {
				return nil, fmt.Errorf("%s: index.json: %w", path, err)
			}
		}
	}
	// What follows the last file belongs to the sums, too.
	for _, rest := range []io.Reader{plain, whole} {
		if _, err := io.Copy(io.Discard, rest); err != nil {
			return nil, fmt.Errorf("%s: is cut short or no archive: %w", path, err)
		}
	}
	archive.SHA256 = sumOf(sum).Hex
	if index == nil {
		return nil, fmt.Errorf("%s: no index.json in it; make it with `hcchart images save`", path)
	}
	architectures := map[string]bool{}
	for _, m := range index.Manifests {
		archive.Images = append(archive.Images, Named{Name: m.Annotations[containerdName], Digest: m.Digest.String()})
		if m.Platform != nil {
			archive.Architecture = m.Platform.Architecture
			architectures[m.Platform.Architecture] = true
		}
	}
	if len(architectures) > 1 {
		return nil, fmt.Errorf("%s: holds images for %s; make one archive for each with `hcchart images save`", path, strings.Join(slices.Sorted(maps.Keys(architectures)), " and "))
	}
	return archive, nil
}
