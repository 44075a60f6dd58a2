package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/tmorin/homecloud/internal/imagestore"
	"github.com/tmorin/homecloud/internal/sbom"
	"github.com/tmorin/homecloud/internal/term"
)

// image is what `images list` says of one.
type image struct {
	Name       string
	Production struct{ Repository, Tag string }
	Lab        string
}

// images makes our own images anew, also those that are unchanged, the archive
// of them, and what is inside of each.
func (b *build) images(ctx context.Context) error {
	work, err := os.MkdirTemp("", "homecloud-images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var own []image
	err = b.steps.Run("images", func(step *term.Step) error {
		text, err := output(command(ctx, b.root, "go", "run", "./images", "list", "-o", "json"), nil)
		if err != nil {
			return err
		}
		var list struct{ Images []image }
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return err
		}
		args := []string{"run", "./images", "build", "--again", "--out", work}
		for _, image := range list.Images {
			if image.Lab == "own" {
				own = append(own, image)
				args = append(args, image.Name)
			}
		}
		step.Done("%d of our own", len(own))
		_, err = output(command(ctx, b.root, "go", args...), func(line string) { step.Waits("%s", line) })
		return err
	})
	if err != nil {
		return err
	}
	return b.steps.Run("archive of images", func(step *term.Step) error {
		if _, err := output(command(ctx, b.root, "go", "run", "./images", "archive", "--from", work, "--out", b.out), nil); err != nil {
			return err
		}
		archive, err := imagestore.ReadArchive(ctx, filepath.Join(b.out, "homecloud-own-images-"+runtime.GOARCH+".tar.zst"))
		if err != nil {
			return err
		}
		step.Done("%s", megabytes(archive.Size))
		digests := map[string]string{}
		for _, named := range archive.Images {
			digests[named.Name] = named.Digest
		}
		for _, image := range own {
			if err := b.imageBill(image, work, digests); err != nil {
				return err
			}
		}
		return os.Remove(archive.Path + ".sha256") // SHA256SUMS has it
	})
}

func (b *build) imageBill(image image, work string, digests map[string]string) error {
	found, err := filepath.Glob(filepath.Join(work, image.Name+"-????????????.tar"))
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("image %s: there are %d archives instead of one", image.Name, len(found))
	}
	content, err := tarball.ImageFromPath(found[0], nil)
	if err != nil {
		return err
	}
	reference := image.Production.Repository + ":" + image.Production.Tag
	digest, ok := digests[reference]
	if !ok {
		return fmt.Errorf("%s isn't in the archive of images", reference)
	}
	bill, err := sbom.OfImage(reference, digest, content)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.out, "image-"+image.Name+"-"+runtime.GOARCH+inside), bill, 0o644)
}
