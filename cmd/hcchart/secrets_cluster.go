package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deploy"
	"github.com/tmorin/homecloud/internal/kube"
	"github.com/tmorin/homecloud/internal/secrets"
	"github.com/tmorin/homecloud/internal/term"
)

// secretsTarget is the release whose Secrets a command is about.
type secretsTarget struct {
	clusterFlags
	release, namespace string
}

func (t *secretsTarget) addTo(flags *pflag.FlagSet) {
	t.addReleaseTo(flags)
	t.clusterFlags.addTo(flags)
}

func (t *secretsTarget) addReleaseTo(flags *pflag.FlagSet) {
	flags.StringVar(&t.release, "release", config.Release, "`name` of the release")
	flags.StringVarP(&t.namespace, "namespace", "n", config.Release, "`name` of the release's namespace")
}

// checkNames refuses what no cluster could take: printed it would only fail in
// somebody's pipe.
func checkNames(release, namespace string) error {
	for _, name := range []struct{ flag, value string }{{"--release", release}, {"--namespace", namespace}} {
		if len(validation.IsDNS1123Label(name.value)) > 0 {
			return usageError{fmt.Errorf("%s %q: write lower-case letters, digits and dashes, such as %s", name.flag, name.value, config.Release)}
		}
	}
	return nil
}

// patience is how long init waits for a cluster that nobody told it to ask.
const patience = 5 * time.Second

// live reads the secrets of the release in the cluster, if there is one. Only
// when it must, a cluster that doesn't answer is an error.
func (t *secretsTarget) live(a *app, cluster *config.Cluster, must bool) func(context.Context) (map[string]string, error) {
	return func(ctx context.Context) (map[string]string, error) {
		if must {
			return t.values(ctx, cluster)
		}
		if !t.named() {
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		values, err := t.values(ctx, cluster)
		if errors.Is(err, secrets.ErrOtherCloud) {
			fmt.Fprintf(a.err, "warning: nothing is taken from the cluster: %v\n", err)
			return nil, nil
		}
		if errors.Is(err, secrets.ErrNotAsked) {
			fmt.Fprintf(a.err, "warning: %v; what is missing is made anew. If it already runs this cloud: hcchart secrets init --from-cluster\n", err)
			return nil, nil
		}
		return values, err
	}
}

func (t *secretsTarget) values(ctx context.Context, cluster *config.Cluster) (map[string]string, error) {
	connection, err := t.connect()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", secrets.ErrNotAsked, err)
	}
	if t.release == config.Release {
		if _, err := connection.Version(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", secrets.ErrNotAsked, err)
		}
		if err := deploy.SameCloud(connection, cluster.Name); err != nil {
			return nil, err
		}
	}
	live := secrets.Live{Client: connection.Client.CoreV1(), Release: t.release, Namespace: t.namespace}
	return live.Values(ctx, cluster)
}

// named tells whether a kubeconfig names any cluster.
func (t *secretsTarget) named() bool {
	if t.kubeconfig != "" || t.context != "" {
		return true
	}
	known, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	return err == nil && len(known.Clusters) > 0
}

// secrets computes the Kubernetes Secrets from the two files.
func (t *secretsTarget) secrets(a *app) ([]*corev1.Secret, error) {
	if err := checkNames(t.release, t.namespace); err != nil {
		return nil, err
	}
	cluster, path, err := a.loadCluster()
	if err != nil {
		return nil, err
	}
	file, err := secrets.Open(path)
	if err != nil {
		return nil, err
	}
	return secrets.Kubernetes(file, cluster, t.release, t.namespace)
}

func newSecretsRenderCommand(a *app) *cobra.Command {
	target := secretsTarget{}
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Print the Kubernetes Secrets, in clear, for a pipe",
		Long: `Prints the Secrets of the release as YAML, for whoever installs the charts
without hcchart up. They are readable: pipe them, never keep them in a file.`,
		Example: `  hcchart secrets render | kubectl apply --server-side --field-manager hcchart -f -
  hcchart secrets render --release cloud --namespace cloud | kubeseal --format yaml > sealed.yaml`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if term.IsTerminal(a.out) {
				return errors.New("this would show every secret on the terminal; pipe it into kubectl, or use hcchart secrets apply (secrets get NAME shows one)")
			}
			rendered, err := target.secrets(a)
			if err != nil {
				return err
			}
			for _, secret := range rendered {
				text, err := yaml.Marshal(secret)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(a.out, "---\n%s", text); err != nil {
					return err
				}
			}
			return nil
		},
	}
	target.addReleaseTo(cmd.Flags())
	return cmd
}

func newSecretsApplyCommand(a *app) *cobra.Command {
	target := secretsTarget{}
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Put the Secrets into the cluster",
		Long: `Puts the Secrets of the release into the cluster, where the pods find them;
hcchart up does it too. The namespace is made when it isn't there, and
labelled for pods that use the host's network. Names of changed Secrets are printed, never values.

An identity that differs from the cluster's is refused before anything is
changed: the board would become another device, unknown to its peers. So is the
file of another cloud. The exit code of --dry-run is 2 when something would
change.`,
		Example: `  hcchart secrets apply
  hcchart secrets apply --dry-run
  hcchart secrets apply --context home --namespace homecloud`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted, err := target.secrets(a)
			if err != nil {
				return err
			}
			connection, err := target.connect()
			if err != nil {
				return err
			}
			if _, err := connection.Version(cmd.Context()); err != nil {
				return err // before the words about a namespace, which nobody asked about
			}
			if err := deploy.SameCloud(connection, wanted[0].Annotations[secrets.CloudAnnotation]); err != nil {
				return err
			}
			namespace, err := connection.EnsureNamespace(cmd.Context(), target.namespace, kube.Privileged, dryRun)
			if err != nil {
				return err
			}
			if dryRun && namespace == "create" { // nothing in it to compare with
				fmt.Fprintf(a.err, "would create the namespace %s and every Secret in it\n", target.namespace)
				return errDifferences
			}
			if namespace != "" {
				fmt.Fprintf(a.err, "namespace %s: %s\n", target.namespace, namespace)
			}
			do, done := secrets.Apply, "changed"
			if dryRun {
				do, done = secrets.Compare, "would change"
			}
			changed, err := do(cmd.Context(), connection.Client.CoreV1(), wanted)
			if err != nil {
				return err
			}
			if len(changed) == 0 {
				fmt.Fprintln(a.err, "nothing to do")
				return nil
			}
			fmt.Fprintf(a.err, "%s: %s\n", done, strings.Join(changed, ", "))
			if dryRun {
				return errDifferences
			}
			return nil
		},
	}
	target.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "ask the cluster what would change, and change nothing")
	return cmd
}
