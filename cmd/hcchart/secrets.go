package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/secrets"
)

func newSecretsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secrets",
		Short: "Keep the secrets file and bring it into the cluster",
		Long: `The secrets lie beside the cluster file, homecloud.secrets.yaml for
homecloud.yaml: passwords, and what each board is known by to the others. Each
value is encrypted with age in SOPS' format, so that the file can be committed,
and sops can read and edit it too.

It opens with an age identity: the environment variable SOPS_AGE_KEY, the file
SOPS_AGE_KEY_FILE, or sops' own keys.txt (on Linux ~/.config/sops/age/keys.txt).`,
		Example: `  hcchart secrets init --recovery-key recovery.txt  # make the file, and a key to print
  hcchart secrets set users.bob                     # asks for the password
  hcchart secrets apply                             # bring them into the cluster`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newSecretsInitCommand(a), newSecretsListCommand(a), newSecretsGetCommand(a), newSecretsSetCommand(a),
		newSecretsUnsetCommand(a), newSecretsRecipientsCommand(a), newSecretsRenderCommand(a), newSecretsApplyCommand(a),
	)
	return cmd
}

// loadCluster reads what all secrets commands start from: the cluster file, and
// where its secrets lie.
func (a *app) loadCluster() (cluster *config.Cluster, secretsPath string, err error) {
	cluster, err = config.LoadFrom(a.file, a.in)
	return cluster, config.SecretsPath(a.file), err
}

func newSecretsInitCommand(a *app) *cobra.Command {
	var options secrets.InitOptions
	target := secretsTarget{}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the secrets file, or add what it lacks",
		Long: `Makes the secrets that the cluster file needs. What is there is kept: running
it again changes nothing, and after a change of the cluster file it adds what
is new.

When the kubeconfig's cluster already runs this release, missing secrets are
taken from there instead of being made anew. A cluster that doesn't answer is
only waited for with --from-cluster.`,
		Example: `  hcchart secrets init
  hcchart secrets init --recovery-key recovery.txt   # print it, delete it
  hcchart secrets init --recipient age1q3cuquvy7g7yaw9at3w5uw86nt0rh7aqe90ja0a042zkfsahcvesv7566j
  hcchart secrets init --from-cluster                # the cluster's identities are the right ones`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkNames(target.release, target.namespace); err != nil {
				return err
			}
			cluster, path, err := a.loadCluster()
			if err != nil {
				return err
			}
			options.Live = target.live(a, cluster, options.PreferLive)
			return a.initSecrets(cmd.Context(), path, cluster, options)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&options.Recipients, "recipient", nil, "age public `key` that can open the file too; may be repeated")
	flags.StringVar(&options.RecoveryKey, "recovery-key", "", "write a second identity into this new `file`, to be printed and deleted")
	flags.BoolVar(&options.PreferLive, "from-cluster", false, "ask the cluster, and take the boards' identities from there even if the file has others")
	target.addTo(flags)
	return cmd
}

// initSecrets makes or completes the secrets file and says in words what it did.
func (a *app) initSecrets(ctx context.Context, path string, cluster *config.Cluster, options secrets.InitOptions) error {
	report, err := secrets.Init(ctx, path, cluster, options)
	if report.IdentityFile != "" { // it stays, also when the rest failed
		fmt.Fprintf(a.err, "made your age identity, %s: whoever has it can read the secrets; keep a copy in another place\n", report.IdentityFile)
	}
	switch {
	case err != nil:
		return err
	case report.Created:
		fmt.Fprintf(a.err, "made %s\n", path)
	case len(report.Generated)+len(report.Imported) == 0:
		fmt.Fprintf(a.err, "%s is complete\n", path)
	}
	for _, group := range []struct {
		label string
		names []string
	}{
		{"taken from the cluster", report.Imported},
		{"generated", report.Generated},
		{"other in the cluster, the file's kept: hcchart up puts them there", report.Differing},
		{"not needed by the cluster file, kept", report.Surplus},
	} {
		if len(group.names) > 0 {
			fmt.Fprintf(a.err, "  %s: %s\n", group.label, strings.Join(group.names, ", "))
		}
	}
	if report.Former != "" {
		fmt.Fprintf(a.err, "the file of before, with the identities that it had: %s; delete it when the boards run with the new ones\n", report.Former)
	}
	if options.RecoveryKey != "" {
		fmt.Fprintf(a.err, "made the recovery key, %s: print it, put the paper where your other papers are, and delete the file\n", options.RecoveryKey)
	}
	a.warnOfOneRecipient(report.Recipients)
	return nil
}

// warnOfOneRecipient stays until a lost laptop isn't the end of the secrets.
func (a *app) warnOfOneRecipient(recipients []string) {
	if len(recipients) < 2 {
		fmt.Fprintln(a.err, "warning: one identity alone opens the secrets file, and if it is lost the secrets are; make a second: hcchart secrets init --recovery-key FILE")
	}
}

func newSecretsListCommand(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the names of the secrets, never their values",
		Example: `  hcchart secrets list
  hcchart secrets list -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			format, err := parseOutput(output)
			if err != nil {
				return err
			}
			cluster, path, err := a.loadCluster()
			if err != nil {
				return err
			}
			file, err := secrets.Open(path)
			if err != nil {
				return err
			}
			rows := listSecrets(file, cluster)
			a.warnOfOneRecipient(file.Recipients())
			return format.print(a.out, rows, func(table *tableWriter) {
				table.row("NAME", "STATE")
				for _, row := range rows {
					table.row(row.Name, row.State)
				}
			})
		},
	}
	addOutputFlag(cmd.Flags(), &output)
	return cmd
}

// secretRow is one line of `secrets list`; its JSON is documented.
type secretRow struct {
	Name  string `json:"name"`
	State string `json:"state"` // present, missing, or surplus
}

func listSecrets(file *secrets.File, cluster *config.Cluster) []secretRow {
	rows := []secretRow{}
	for _, name := range secrets.Needed(cluster) {
		state := "present"
		if !file.Has(name) {
			state = "missing"
		}
		rows = append(rows, secretRow{name, state})
	}
	for _, name := range file.Surplus(cluster) {
		rows = append(rows, secretRow{name, "surplus"})
	}
	return rows
}

// changeSecrets runs a change of the secrets file of the cluster.
func (a *app) changeSecrets(ctx context.Context, change func(*secrets.File, *config.Cluster) error) error {
	cluster, path, err := a.loadCluster()
	if err != nil {
		return err
	}
	return secrets.Change(ctx, path, func(file *secrets.File) error { return change(file, cluster) })
}
