package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/secrets"
)

func newInitCommand(a *app) *cobra.Command {
	var draft clusterDraft
	var nodes []string
	var recoveryKey string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a new cluster file and its secrets file",
		Long: `init writes a commented cluster file and the secrets file beside it, from flags
or by asking on a terminal. What lies there already is never overwritten.

On a terminal it asks for what the flags leave out; otherwise --node and --user
are needed. The home's subnet and router are taken from this machine's own
routes unless they are given. The first user is the administrator.`,
		Example: `  hcchart init
  hcchart init --node box=box.local,disk=/dev/disk/by-id/usb-SanDisk_Extreme_0001-0:0 --user alice
  hcchart init --name cabin --subnet 192.168.1.0/24 --vip 192.168.1.50 \
    --node node-1=192.168.1.51,interface=eth0,disk=/dev/disk/by-id/usb-A \
    --node node-2=192.168.1.52,interface=eth0,disk=5f0e3f0c-0000-4000-8000-000000000002 \
    --user alice --user bob`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.mayInit(recoveryKey); err != nil {
				return err
			}
			for _, text := range nodes {
				node, err := parseNodeFlag(text)
				if err != nil {
					return usageError{err}
				}
				draft.Nodes = append(draft.Nodes, node)
			}
			if err := a.completeDraft(&draft); err != nil {
				return err
			}
			return a.writeInit(cmd.Context(), draft, recoveryKey)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&draft.Name, "name", "", "`name` of the cloud (default home)")
	flags.StringArrayVar(&nodes, "node", nil, "a board: `NAME=ADDRESS[,disk=DEVICE|UUID][,interface=NAME]`; may be repeated")
	flags.StringArrayVar(&draft.Users, "user", nil, "`name` of a person; may be repeated")
	flags.StringVar(&draft.Subnet, "subnet", "", "the home's `network`, such as 192.168.1.0/24")
	flags.StringVar(&draft.Gateway, "gateway", "", "`address` of the router")
	flags.StringVar(&draft.VIP, "vip", "", "virtual `address` that moves to a healthy board; needs two")
	flags.StringVar(&recoveryKey, "recovery-key", "", "write a second identity for the secrets into this new `file`, to be printed and deleted")
	return cmd
}

// mayInit says early, before anything is asked, what would fail in the end.
func (a *app) mayInit(recoveryKey string) error {
	if a.file == "-" {
		return usageError{errors.New("init writes a file; name it with --file")}
	}
	if key := filepath.Clean(recoveryKey); key == filepath.Clean(a.file) || key == filepath.Clean(config.SecretsPath(a.file)) {
		return usageError{fmt.Errorf("--recovery-key %s: name a file of its own", recoveryKey)}
	}
	for _, file := range []struct{ flag, path string }{{"--file", a.file}, {"--recovery-key", recoveryKey}} {
		if file.path == "" {
			continue
		}
		switch _, err := os.Lstat(file.path); {
		case err == nil:
			return fmt.Errorf("%s exists and is never overwritten; %s names another", file.path, file.flag)
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("look for %s: %w", file.path, err)
		}
		folder := filepath.Dir(file.path)
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the folder %s does not exist; make it first", folder)
		}
	}
	return nil
}

// completeDraft asks for what the flags left out, or says which are missing.
func (a *app) completeDraft(draft *clusterDraft) error {
	here := detectNetwork()
	if len(draft.Nodes) == 0 || len(draft.Users) == 0 {
		if a.keyboard == nil {
			var missing []string
			if len(draft.Nodes) == 0 {
				missing = append(missing, "--node NAME=ADDRESS,disk=DEVICE")
			}
			if len(draft.Users) == 0 {
				missing = append(missing, "--user NAME")
			}
			return usageError{fmt.Errorf("standard input is not a terminal, so nothing can be asked; give %s", strings.Join(missing, " and "))}
		}
		return newInterview(a.in, a.err).run(draft, here)
	}
	if draft.Name == "" {
		draft.Name = "home"
	}
	if !slices.ContainsFunc(draft.Nodes, func(node nodeDraft) bool { return node.Disk != "" }) {
		return usageError{fmt.Errorf("--node %s: no board has a disk for the shares; add ,disk=/dev/disk/by-id/…", draft.Nodes[0].Name)}
	}
	// Somebody else's network would only be a riddle in the file.
	if draft.Subnet == "" && here.holds(draft.Nodes) {
		draft.Subnet = here.Subnet
		if draft.Gateway == "" {
			draft.Gateway = here.Gateway
		}
		fmt.Fprintf(a.err, "took the network of this machine: %s\n", here)
	}
	if findings := draft.findings(); len(findings) > 0 {
		lines := make([]string, len(findings))
		for i, finding := range findings {
			lines[i] = fmt.Sprintf("%s: %s; %s", finding.Path, finding.Problem, finding.Remedy)
		}
		return usageError{errors.New(strings.Join(lines, "\n"))}
	}
	return nil
}

func (a *app) writeInit(ctx context.Context, draft clusterDraft, recoveryKey string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	text := draft.text()
	if err := writeNew(a.file, text); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "made %s\n", a.file)
	cluster, err := config.Parse(a.file, text, nil)
	if err != nil {
		return err
	}
	path := config.SecretsPath(a.file)
	target := secretsTarget{release: config.Release, namespace: config.Release}
	// A cluster that runs already keeps its identities.
	options := secrets.InitOptions{RecoveryKey: recoveryKey, Live: target.live(a, cluster, false)}
	if err := a.initSecrets(ctx, path, cluster, options); err != nil {
		return fmt.Errorf("%w; %s is made, hcchart secrets init makes the secrets file", err, a.file)
	}
	return nil
}

// writeNew makes a file that does not exist yet: whole, or not at all.
func writeNew(path string, content []byte) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Sync(), temporary.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	// A link, unlike a rename, never replaces what somebody made meanwhile.
	if err := os.Link(temporary.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
