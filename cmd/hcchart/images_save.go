package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/imagestore"
	"github.com/tmorin/homecloud/internal/term"
)

// imagesFolder is where archives are written to and loaded from.
const imagesFolder = "images"

func newImagesSaveCommand(a *app) *cobra.Command {
	var flags imagesFlags
	var store storeFlags
	save := imagestore.Save{}
	cmd := &cobra.Command{
		Use:   "save [CHART]",
		Short: "Make an archive of all images for each architecture",
		Long: `save fetches the images of a chart and writes one archive for each architecture,
CHART-images-ARCHITECTURE.tar.zst, and its sum beside it, and prints its path.
k3s imports an archive that lies in /var/lib/rancher/k3s/agent/images, hcchart
images load brings it onto boards, and ctr images import reads it, decompressed.
The same images give the same bytes.

What was fetched is kept: an interrupted save goes on where it stopped, also in
the middle of a large blob, and a second one fetches only what is new. Images in
archives that --from names are asked from no registry. Accounts are those that
docker login keeps.

An image that images.lock.yaml holds is taken as it is written there, or not at
all.`,
		Example: `  hcchart images save
  hcchart images save --arch arm64 --out /media/stick
  hcchart images save --from homecloud-images-arm64.tar.zst --arch arm64
  hcchart images save ./charts/web --values production.yaml --compress gz`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(imagestore.Compressions, save.Compression) {
				return usageError{fmt.Errorf("--compress %q: write %s", save.Compression, strings.Join(imagestore.Compressions, ", "))}
			}
			architectures, err := a.architectures(save.Architectures, len(args) == 0 || isOurs(args[0]))
			if err != nil {
				return err
			}
			found, err := flags.find(a, args, nil)
			if err != nil {
				return err
			}
			warnPulled(a, found.images)
			if save.Store, err = imagestore.Open(cmd.Context(), store.Options); err != nil {
				return err
			}
			save.Name, save.References, save.Lock, save.Architectures = found.chart.Name, found.references(), found.lock, architectures
			save.Steps = term.NewSteps(a.err)
			archives, err := save.Run(cmd.Context())
			if err != nil {
				return err
			}
			for _, archive := range archives {
				if _, err := fmt.Fprintln(a.out, archive.Path); err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags.addTo(cmd)
	store.addTo(cmd)
	cmd.Flags().StringSliceVar(&save.Architectures, "arch", nil, "`names` of architectures (default: those of the boards, or amd64,arm64)")
	cmd.Flags().StringVar(&save.Out, "out", imagesFolder, "`folder` for the archives")
	cmd.Flags().StringVar(&save.Compression, "compress", "zst", "zst, gz or none")
	return cmd
}
