package main

import (
	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/clustersecrets"
)

func newSecretsCommand(a *app) *cobra.Command {
	return group("secrets", "Make Secrets that are missing", newSecretsEnsureCommand(a))
}

func newSecretsEnsureCommand(a *app) *cobra.Command {
	var settings, namespace string
	cmd := &cobra.Command{
		Use:   "ensure",
		Short: "Make the Secrets of a release that are missing, keep the others",
		Long: `ensure makes Syncthing's identities, the peers' device IDs, the REST key and the
users' passwords where they are missing, and changes nothing that is there. It
refuses to make an identity for a node whose old one the peers still know.

It runs in a pod whose service account may get, create and patch Secrets.`,
		Example: `  homecloud-agent secrets ensure --config /etc/homecloud/secrets.json --namespace homecloud`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := clustersecrets.LoadSettings(settings)
			if err != nil {
				return err
			}
			client, err := clustersecrets.InCluster(namespace)
			if err != nil {
				return err
			}
			return clustersecrets.Ensure(cmd.Context(), client, s, a.log)
		},
	}
	cmd.Flags().StringVar(&settings, "config", "/etc/homecloud/secrets.json", "`file` that names the Secrets")
	cmd.Flags().StringVar(&namespace, "namespace", "", "`namespace` of the release")
	needs(cmd, "namespace")
	return cmd
}
