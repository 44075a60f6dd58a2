package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tmorin/homecloud/internal/cloud"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/gitops"
	"github.com/tmorin/homecloud/internal/kube"
	"github.com/tmorin/homecloud/internal/secrets"
)

const gitopsLong = `Writes the files of a Git repository from which %[1]s installs what hcchart up
installs: the platform and the services as releases of their own, in this order,
each with its chart, unpacked, and its values. No secret is in the values.

--out is the folder on this machine, --path the same folder in the repository.
--charts takes the charts from another folder; an oci:// address refers to
published ones instead, by a version that an update bot can move.

Run it again after a change of the cluster file: it changes what it wrote and
removes what isn't needed any more. Files of yours stay, and own/ is the place
for them. A generated file that you changed is refused, unless --force sets
yours aside.

--dry-run writes nothing and prints what would change; the exit code is 2 when
something would, and 0 when nothing would.

%[2]s`

func newGitopsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gitops",
		Short: "Write a Git repository that installs the same cloud",
		Long: `Writes the files of a Git repository from which Argo CD or Flux installs what
hcchart up installs, and keeps it so.`,
		Example: `  hcchart gitops argocd --out . --repo https://git.home/alice/cloud.git
  hcchart gitops flux --out . --repo ssh://git@git.home/alice/cloud.git --recipient age1q3cuquvy7g7yaw9at3w5uw86nt0rh7aqe90ja0a042zkfsahcvesv7566j`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGitopsArgoCDCommand(a), newGitopsFluxCommand(a))
	return cmd
}

// gitopsFlags are those of both tools.
type gitopsFlags struct {
	chartFlags
	gitops.Options
	out           string
	dryRun, force bool
}

func (f *gitopsFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.out, "out", "", "`folder` to write")
	flags.StringVar(&f.Repository, "repo", "", "`URL` of the Git repository")
	flags.StringVar(&f.Path, "path", ".", "where the folder lies in the repository, as a `path`")
	flags.StringVar(&f.Revision, "revision", "main", "`branch` that is installed")
	flags.StringVar(&f.directory, "charts", "", "`folder` of charts to use instead of the built-in ones, or oci://REGISTRY/PATH where they are published")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only print what would change")
	flags.BoolVar(&f.force, "force", false, "set files aside that were changed or are in the way")
	f.addValues(cmd)
}

func newGitopsArgoCDCommand(a *app) *cobra.Command {
	f := gitopsFlags{Options: gitops.Options{Tool: gitops.ArgoCD}}
	cmd := &cobra.Command{
		Use:   "argocd",
		Short: "Write a Git repository for Argo CD",
		Long: fmt.Sprintf(gitopsLong, "Argo CD", `The Secrets aren't in the repository, because Argo CD decrypts nothing: hcchart
secrets apply puts them into the cluster, or something of yours does.`),
		Example: `  hcchart gitops argocd --out . --repo https://git.home/alice/cloud.git
  hcchart gitops argocd --out cloud/home --path home --repo https://git.home/alice/cloud.git --dry-run
  hcchart gitops argocd --out . --repo https://git.home/alice/cloud.git --charts oci://registry.home:5000/charts`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, a) },
	}
	f.addTo(cmd)
	cmd.Flags().StringVar(&f.ControllerNamespace, "namespace", "argocd", "`name` of the namespace in which Argo CD runs")
	cmd.Flags().StringVar(&f.Project, "project", "default", "`name` of Argo CD's project")
	return cmd
}

func newGitopsFluxCommand(a *app) *cobra.Command {
	f := gitopsFlags{Options: gitops.Options{Tool: gitops.Flux}}
	cmd := &cobra.Command{
		Use:   "flux",
		Short: "Write a Git repository for Flux",
		Long: fmt.Sprintf(gitopsLong, "Flux", `With --recipient, the public age key of an identity that Flux has, the Secrets are
in the repository too: encrypted for it and for whoever opens the secrets file.
Without, hcchart secrets apply puts them into the cluster, or something of yours
does.`),
		Example: `  hcchart gitops flux --out . --repo ssh://git@git.home/alice/cloud.git --recipient age1q3cuquvy7g7yaw9at3w5uw86nt0rh7aqe90ja0a042zkfsahcvesv7566j
  hcchart gitops flux --out cloud/home --path home --repo https://git.home/alice/cloud.git --git-secret git --dry-run
  hcchart gitops flux --out . --repo https://git.home/alice/cloud.git --charts oci://registry.home:5000/charts`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, a) },
	}
	f.addTo(cmd)
	cmd.Flags().StringVar(&f.ControllerNamespace, "namespace", "flux-system", "`name` of the namespace in which Flux runs")
	cmd.Flags().StringVar(&f.RepositorySecret, "git-secret", "", "`name` of the Secret with the repository's credentials, in Flux' namespace")
	cmd.Flags().StringArrayVar(&f.Recipients, "recipient", nil, "age public `key` of Flux; may be repeated")
	return cmd
}

func (f *gitopsFlags) run(cmd *cobra.Command, a *app) error {
	if err := f.usage(a); err != nil {
		return err
	}
	f.NamespaceLabels = kube.Privileged
	f.Command = commandLine(cmd)
	cluster, err := config.LoadFrom(a.file, a.in)
	if err != nil {
		return err
	}
	for _, warning := range cluster.Warnings {
		fmt.Fprintf(a.err, "warning: %s\n", warning)
	}
	overlay, err := f.overlay(a, map[string]any{})
	if err != nil {
		return err
	}
	library := f.chartFlags
	if f.Registry != "" {
		library.directory = "" // the published ones are the built-in ones
	}
	releases, err := cloud.Releases(cluster, library.library(), overlay)
	if err != nil {
		return err
	}
	if err := f.secrets(a, cluster); err != nil {
		return err
	}
	files, err := gitops.Files(releases, f.Options)
	if err != nil {
		return err
	}
	plan, err := gitops.Look(f.out, f.Tool, files, f.force)
	if err != nil {
		return err
	}
	var changes []string
	for _, change := range plan.Changes {
		changes = append(changes, change.Verb+" "+filepath.Join(f.out, filepath.FromSlash(change.Path)))
	}
	if f.dryRun {
		return tellForeseen(a, changes)
	}
	if err := plan.Write(cmd.Context()); err != nil {
		return err
	}
	return f.tell(a, plan, changes)
}

func (f *gitopsFlags) usage(a *app) error {
	problems := []error{f.check(a)}
	if f.out == "" {
		problems = append(problems, usageError{errors.New("--out is missing; name the folder to write, such as . in a clone of the repository")})
	}
	if f.Repository == "" {
		problems = append(problems, usageError{errors.New("--repo is missing; write the URL of the Git repository that the folder will be pushed to")})
		return errors.Join(problems...)
	}
	if strings.Contains(f.directory, "://") {
		f.Registry = f.directory
	}
	if err := f.Check(); err != nil {
		problems = append(problems, usageError{err})
	}
	return errors.Join(problems...)
}

// secrets computes the Secrets to encrypt, or names those that have to be in
// the cluster.
func (f *gitopsFlags) secrets(a *app, cluster *config.Cluster) (err error) {
	if len(f.Recipients) == 0 {
		f.SecretNames = secrets.KubernetesNames(cluster, config.Release)
		return nil
	}
	file, err := secrets.Open(config.SecretsPath(a.file))
	if err != nil {
		return err
	}
	for _, recipient := range file.Recipients() {
		if !slices.Contains(f.Recipients, recipient) {
			f.Recipients = append(f.Recipients, recipient)
		}
	}
	f.Secrets, err = secrets.Kubernetes(file, cluster, config.Release, config.Release)
	return err
}

// tell prints what was done, and what only a person can do.
func (f *gitopsFlags) tell(a *app, plan *gitops.Plan, changes []string) error {
	if len(changes) == 0 {
		fmt.Fprintf(a.err, "nothing to do: %s is what the file says\n", f.out)
		return nil
	}
	if _, err := fmt.Fprintln(a.out, strings.Join(changes, "\n")); err != nil {
		return err
	}
	for _, change := range plan.Changes {
		switch change {
		case gitops.Change{Verb: "create", Path: "bootstrap.yaml"}:
			fmt.Fprintf(a.err, "push it, and follow %s once\n", filepath.Join(f.out, "README.md"))
		case gitops.Change{Verb: "update", Path: "bootstrap.yaml"}:
			fmt.Fprintf(a.err, "apply it again: kubectl apply --server-side -f %s\n", filepath.Join(f.out, "bootstrap.yaml"))
		}
	}
	return nil
}

// commandLine is how the folder was made, without what differs between machines.
func commandLine(cmd *cobra.Command) string {
	words := []string{cmd.CommandPath(), "--out", "."}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		given := []string{flag.Value.String()}
		if list, is := flag.Value.(pflag.SliceValue); is {
			given = list.GetSlice()
		}
		if slices.Contains([]string{"out", "file", "log-level", "dry-run", "force"}, flag.Name) {
			return
		}
		for _, value := range given {
			if strings.ContainsAny(value, " \t\"'$`\\*?&|;<>()") {
				value = strconv.Quote(value)
			}
			words = append(words, "--"+flag.Name, value)
		}
	})
	return strings.Join(words, " ")
}
