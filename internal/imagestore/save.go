package imagestore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tmorin/homecloud/internal/imageset"
	"github.com/tmorin/homecloud/internal/term"
)

// Save makes archives, one for each architecture.
type Save struct {
	Store         *Store
	References    []string
	Lock          *imageset.Lock // nil: there is none
	Architectures []string
	Out           string // folder, made when it isn't there
	Name          string // archives are NAME-images-ARCHITECTURE.tar.zst, with a sum beside each
	Compression   string // one of Compressions
	Steps         *term.Steps
}

// Run fetches what the cache lacks and writes the archives. An interruption
// leaves the cache, and no archive that isn't whole.
func (s *Save) Run(ctx context.Context) ([]*Archive, error) {
	var contents []*Content
	err := s.Steps.Run("look for the images", func(step *term.Step) (err error) {
		if contents, err = s.Store.Find(ctx, s.References, s.Lock); err != nil {
			return err
		}
		step.Done("%d, %d of them not in the lock file", len(contents), unlocked(contents, s.Lock))
		return fit(contents, s.Lock, s.Architectures)
	})
	if err != nil {
		return nil, err
	}
	for _, c := range contents {
		if err := s.Store.fetchStep(ctx, s.Steps, c, s.Architectures); err != nil {
			return nil, err
		}
	}
	return s.write(ctx, contents)
}

// fetchStep is one line of progress: an image with some of its architectures,
// or with all; nil.
func (s *Store) fetchStep(ctx context.Context, steps *term.Steps, c *Content, architectures []string) error {
	title := c.Reference
	platforms := c.platforms
	if architectures != nil {
		title += " for " + strings.Join(architectures, ", ")
		platforms = nil
		for _, architecture := range architectures {
			p, err := c.platform(architecture)
			if err != nil {
				return err
			}
			platforms = append(platforms, p)
		}
	}
	return steps.Run(title, func(step *term.Step) error {
		all, before, err := s.fetch(ctx, c, platforms, func(done, of int64) { step.Waits("%s of %s", Megabytes(done), Megabytes(of)) })
		if before > 0 {
			step.Done("%s, %s of it were there", Megabytes(all), Megabytes(before))
		} else {
			step.Done("%s", Megabytes(all))
		}
		return err
	})
}

func (s *Save) write(ctx context.Context, contents []*Content) ([]*Archive, error) {
	if err := os.MkdirAll(s.Out, 0o755); err != nil {
		return nil, err
	}
	var archives []*Archive
	for _, architecture := range s.Architectures {
		path := filepath.Join(s.Out, s.Name+"-images-"+architecture+suffix(s.Compression))
		err := s.Steps.Run("write "+path, func(step *term.Step) error {
			var done int64
			archive, err := s.Store.write(ctx, path, s.Compression, architecture, contents, func(bytes int64) {
				done += bytes
				step.Waits("%s", Megabytes(done))
			})
			if err != nil {
				return err
			}
			step.Done("%s", Megabytes(archive.Size))
			archives = append(archives, archive)
			return writeSum(archive)
		})
		if err != nil {
			return nil, err
		}
	}
	return archives, nil
}

// writeSum writes what `sha256sum --check` reads.
func writeSum(archive *Archive) error {
	path := archive.Path + ".sha256"
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // nothing is there any more when all went well
	if _, err := fmt.Fprintf(file, "%s  %s\n", archive.SHA256, filepath.Base(archive.Path)); err != nil {
		_ = file.Close()
		return err
	}
	return settle(file, path)
}

// Megabytes is a size for a person.
func Megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
