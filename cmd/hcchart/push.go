package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/chartregistry"
	"github.com/tmorin/homecloud/internal/term"
)

func newPushCommand(a *app) *cobra.Command {
	var flags chartFlags
	var to string
	var without []string
	var insecure, dryRun bool
	cmd := &cobra.Command{
		Use:   "push [CHART|ARCHIVE.tgz...]",
		Short: "Put charts into an OCI registry",
		Long: `push puts charts into a registry, where helm, Argo CD and Flux find them, and
prints each with the digest to pin it by. What is inside of others goes first.

Charts, by default all of homecloud's but libraries, or folders of anybody's, are
packaged as by hcchart package; an archive goes as it is, with its signature
(ARCHIVE.tgz.prov) if there is one.

A version that is there already is never replaced: the same chart is passed over,
another one is refused, before anything is sent. Accounts are those that helm
registry login and docker login keep.`,
		Example: `  hcchart push --to registry.home:5000/charts --without longhorn,traefik,kube-prometheus-stack,headlamp,portainer
  hcchart push dist/homecloud-0.1.0.tgz --to ghcr.io/me/charts --dry-run
  hcchart push ./charts/web --to registry.home:5000/charts
  helm install homecloud oci://registry.home:5000/charts/homecloud --version 0.1.0 --namespace homecloud`,
		RunE: func(cmd *cobra.Command, args []string) error {
			to = strings.TrimSuffix(strings.TrimPrefix(to, "oci://"), "/")
			if err := checkMirror(to); err != nil {
				return err
			}
			packages, err := readPackages(flags, args, without)
			if err != nil {
				return err
			}
			steps := term.NewSteps(a.err)
			registry, err := chartregistry.Open(cmd.Context(), to, insecure)
			if err != nil {
				return err
			}
			var missing []chartregistry.Package
			var errs []error
			for _, p := range packages {
				has, err := registry.Has(p)
				if err != nil {
					errs = append(errs, err)
				} else if has {
					steps.Say("%s: is there", registry.Reference(p))
				} else {
					missing = append(missing, p)
				}
			}
			if err := errors.Join(errs...); err != nil {
				return err
			}
			for _, p := range missing {
				if dryRun {
					steps.Say("%s: would be sent", registry.Reference(p))
					continue
				}
				var digest string
				if err := steps.Run("→ "+registry.Reference(p), func(*term.Step) (err error) {
					digest, err = registry.Push(p)
					return err
				}); err != nil {
					return err
				}
				if _, err := fmt.Fprintf(a.out, "oci://%s@%s\n", registry.Reference(p), digest); err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags.addCharts(cmd)
	cmd.Flags().StringVar(&to, "to", "", "`registry` to put them into, or registry/prefix")
	cmd.Flags().StringSliceVar(&without, "without", nil, "`names` of dependencies to leave out of what is packaged")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "the registry may answer without TLS")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "send nothing, only tell what would be sent")
	return cmd
}

// readPackages packages the charts that are named, or all when nothing is, and
// reads the archives among them.
func readPackages(flags chartFlags, args, without []string) ([]chartregistry.Package, error) {
	var names []string
	var packages []chartregistry.Package
	for _, arg := range args {
		if !strings.HasSuffix(arg, ".tgz") {
			names = append(names, arg)
			continue
		}
		p, err := readPackage(arg)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	if len(names) == 0 && len(args) > 0 && len(without) > 0 {
		return nil, usageError{errors.New("--without is for charts that are packaged; an archive goes as it is")}
	}
	if len(names) > 0 || len(args) == 0 {
		archives, err := packageCharts(&flags, names, without)
		if err != nil {
			return nil, err
		}
		for _, archive := range archives {
			p, err := chartregistry.Read(archive.Content, nil)
			if err != nil {
				return nil, err
			}
			packages = append(packages, p)
		}
	}
	chartregistry.SortLeafFirst(packages)
	return packages, nil
}

func readPackage(path string) (chartregistry.Package, error) {
	archive, err := os.ReadFile(path)
	if err != nil {
		return chartregistry.Package{}, err
	}
	provenance, err := os.ReadFile(path + ".prov")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return chartregistry.Package{}, err
	}
	p, err := chartregistry.Read(archive, provenance)
	if err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}
