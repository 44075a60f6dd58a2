package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"

	"github.com/tmorin/homecloud/internal/imagestore"
	"github.com/tmorin/homecloud/internal/term"
)

// archive makes one archive of our own images out of those that build made,
// under their published names, for this machine's architecture. Stand-ins stay
// out: they aren't what their names say in production.
func archive(ctx context.Context, list *List, from, out string, log io.Writer) (*imagestore.Archive, error) {
	save := imagestore.Save{Architectures: []string{runtime.GOARCH}, Out: out, Name: "homecloud-own", Compression: "zst", Steps: term.NewSteps(log)}
	var options imagestore.Options
	for _, image := range list.Images {
		if image.Lab != "own" {
			continue
		}
		found, err := filepath.Glob(filepath.Join(from, image.Name+"-????????????.tar"))
		if err != nil {
			return nil, err
		}
		if len(found) != 1 {
			return nil, fmt.Errorf("%s: there are %d archives of %s instead of one; run: go run ./images build", from, len(found), image.Name)
		}
		options.Archives = append(options.Archives, image.Production.String()+"="+found[0])
		save.References = append(save.References, image.Production.String())
	}
	var err error
	if save.Store, err = imagestore.Open(ctx, options); err != nil {
		return nil, err
	}
	archives, err := save.Run(ctx)
	if err != nil {
		return nil, err
	}
	return archives[0], nil
}
