package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/checksums"
	"github.com/tmorin/homecloud/internal/sbom"
)

func newPackageCommand(a *app) *cobra.Command {
	var flags chartFlags
	var out string
	var without []string
	var bills, sums bool
	var sign signFlags
	cmd := &cobra.Command{
		Use:   "package [CHART...]",
		Short: "Write charts as archives that install alone",
		Long: `package writes the archive of each chart and prints its path. Everything a chart
depends on is inside. The same charts give the same bytes, whatever the day and
the folder.

CHART is one of homecloud's charts, by default all but libraries, or anybody's,
as a folder or an archive (write ./NAME for a folder here).

--without leaves a dependency out on purpose: it is gone from Chart.yaml, and
values that enable it are refused. A dependency that isn't downloaded has to be
left out this way.

--sbom writes NAME-VERSION.cdx.json beside each archive: CycloneDX, with the
charts inside and the images that the default values name, with what is known of
their licences and architectures. --checksums writes SHA256SUMS of all that was
written; sha256sum --check SHA256SUMS reads it. --sign writes a signature beside
each archive, in the form that helm verify and helm install --verify check, and
hcchart push takes along.`,
		Example: `  hcchart package --without longhorn,traefik,kube-prometheus-stack,headlamp,portainer
  hcchart package dnas --out /tmp --sbom --checksums
  hcchart package ./charts/web
  hcchart package --sign key.gpg --passphrase-file passphrase.txt
  helm install homecloud dist/homecloud-0.1.0.tgz --namespace homecloud`,
		RunE: func(cmd *cobra.Command, args []string) error {
			signer, err := sign.signer(cmd.Context(), a)
			if err != nil {
				return err
			}
			archives, err := packageCharts(&flags, args, without)
			if err != nil {
				return err
			}
			files, err := packageFiles(archives, bills)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(out, 0o755); err != nil {
				return err
			}
			var names []string
			write := func(name string, content []byte) error {
				path := filepath.Join(out, name)
				if err := replaceFile(path, content); err != nil {
					return err
				}
				names = append(names, name)
				_, err := fmt.Fprintln(a.out, path)
				return err
			}
			for _, file := range files {
				if err := write(file.name, file.content); err != nil {
					return err
				}
				if signer == nil || !strings.HasSuffix(file.name, ".tgz") {
					continue
				}
				signature, err := signer.Sign(filepath.Join(out, file.name))
				if err != nil {
					return fmt.Errorf("sign %s: %w", file.name, err)
				}
				if err := write(file.name+".prov", signature); err != nil {
					return err
				}
			}
			if !sums {
				return nil
			}
			list, err := checksums.Of(out, names)
			if err != nil {
				return err
			}
			return write(checksums.Name, list)
		},
	}
	flags.addCharts(cmd)
	cmd.Flags().StringVar(&out, "out", "dist", "`folder` for the archives")
	cmd.Flags().StringSliceVar(&without, "without", nil, "`names` of dependencies to leave out")
	cmd.Flags().BoolVar(&bills, "sbom", false, "also write what is inside of each archive, as CycloneDX")
	cmd.Flags().BoolVar(&sums, "checksums", false, "also write SHA256SUMS")
	sign.addTo(cmd)
	return cmd
}

type packageFile struct {
	name    string
	content []byte
}

// packageFiles are the files to write: archives, each with its bill of
// materials when that is wanted.
func packageFiles(archives []*chart.Archive, bills bool) ([]packageFile, error) {
	var files []packageFile
	for _, archive := range archives {
		files = append(files, packageFile{archive.Name, archive.Content})
		if !bills {
			continue
		}
		bill, err := sbom.OfChart(archive)
		if err != nil {
			return nil, fmt.Errorf("--sbom: chart %s: %w", archive.Chart.Name, err)
		}
		files = append(files, packageFile{strings.TrimSuffix(archive.Name, ".tgz") + ".cdx.json", bill})
	}
	return files, nil
}

// packageCharts makes all archives before the first is written.
func packageCharts(flags *chartFlags, names, without []string) ([]*chart.Archive, error) {
	all := len(names) == 0
	if all {
		var err error
		if names, err = flags.library().Names(); err != nil {
			return nil, err
		}
	}
	var archives []*chart.Archive
	var errs []error
	seen := map[string]bool{} // what two charts lack is one finding
	unknown := slices.Clone(without)
	for _, name := range names {
		c, err := flags.load(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if all && c.IsLibrary() {
			continue
		}
		dependencies := c.DependsOn()
		var mine []string
		for _, dependency := range without {
			if slices.Contains(dependencies, dependency) {
				mine = append(mine, dependency)
			}
		}
		unknown = slices.DeleteFunc(unknown, func(name string) bool { return slices.Contains(mine, name) })
		archive, err := c.Package(mine...)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if line = strings.TrimSpace(line); !seen[line] {
					seen[line] = true
					errs = append(errs, errors.New(line))
				}
			}
			continue
		}
		archives = append(archives, archive)
	}
	for _, name := range unknown {
		errs = append(errs, usageError{fmt.Errorf("--without %s: none of these charts depends on it", name)})
	}
	return archives, errors.Join(errs...)
}

// replaceFile writes a file beside its place and moves it there, so that an
// interrupt leaves the former one.
func replaceFile(name string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // nothing is there any more when all went well
	_, err = file.Write(content)
	if err := errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}
