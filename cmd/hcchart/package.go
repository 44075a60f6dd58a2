package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/chart"
)

func newPackageCommand(a *app) *cobra.Command {
	var flags chartFlags
	var out string
	var without []string
	var sign signFlags
	cmd := &cobra.Command{
		Use:   "package [CHART...]",
		Short: "Write charts as archives that install alone",
		Long: `package writes the archive of each chart, by default of all but libraries, and
prints its path. Everything a chart depends on is inside. The same charts give
the same bytes, whatever the day and the folder.

--without leaves a dependency out on purpose: it is gone from Chart.yaml, and
values that enable it are refused. A dependency that isn't downloaded has to be
left out this way.

--sign writes a signature beside each archive, in the form that helm verify and
helm install --verify check, and hcchart push takes along.`,
		Example: `  hcchart package --without longhorn,traefik,kube-prometheus-stack,headlamp,portainer
  hcchart package dnas --out /tmp
  hcchart package --sign key.gpg --passphrase-file passphrase.txt
  helm install homecloud dist/homecloud-0.1.0.tgz --namespace homecloud`,
		RunE: func(cmd *cobra.Command, args []string) error {
			signer, err := sign.signer(cmd.Context(), a)
			if err != nil {
				return err
			}
			archives, err := packageCharts(flags.library(), args, without)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(out, 0o755); err != nil {
				return err
			}
			for _, archive := range archives {
				file := filepath.Join(out, archive.Name)
				if err := replaceFile(file, archive.Content); err != nil {
					return err
				}
				if signer != nil {
					signature, err := signer.Sign(file)
					if err == nil {
						err = replaceFile(file+".prov", signature)
					}
					if err != nil {
						return fmt.Errorf("sign %s: %w", file, err)
					}
				}
				if _, err := fmt.Fprintln(a.out, file); err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags.addCharts(cmd)
	cmd.Flags().StringVar(&out, "out", "dist", "`folder` for the archives")
	cmd.Flags().StringSliceVar(&without, "without", nil, "`names` of dependencies to leave out")
	sign.addTo(cmd)
	return cmd
}

// signFlags name the key that signs, if any.
type signFlags struct{ key, passphrase string }

func (f *signFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.key, "sign", "", "`file` with the private OpenPGP key to sign with, as gpg --export-secret-keys writes it")
	cmd.Flags().StringVar(&f.passphrase, "passphrase-file", "", "`file` with the key's passphrase (default: asked on the terminal)")
}

// signer is nil when nothing is to be signed.
func (f *signFlags) signer(ctx context.Context, a *app) (*chart.Signer, error) {
	if f.key == "" {
		if f.passphrase != "" {
			return nil, usageError{errors.New("--passphrase-file is for --sign, which names the key")}
		}
		return nil, nil
	}
	key, err := os.ReadFile(f.key)
	if err != nil {
		return nil, err
	}
	signer, err := chart.NewSigner(key, func(name string) (string, error) {
		if f.passphrase != "" {
			text, err := os.ReadFile(f.passphrase)
			return strings.TrimRight(string(text), "\r\n"), err
		}
		if a.keyboard == nil {
			return "", errors.New("is encrypted; name the file that holds its passphrase with --passphrase-file")
		}
		return a.ask(ctx, "passphrase of "+name+": ")
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.key, err)
	}
	return signer, nil
}

// packageCharts makes all archives before the first is written.
func packageCharts(library chart.Library, names, without []string) ([]*chart.Archive, error) {
	all := len(names) == 0
	if all {
		var err error
		if names, err = library.Names(); err != nil {
			return nil, err
		}
	}
	var archives []*chart.Archive
	var errs []error
	seen := map[string]bool{} // what two charts lack is one finding
	unknown := slices.Clone(without)
	for _, name := range names {
		c, err := library.Load(name)
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
