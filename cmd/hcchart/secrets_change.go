package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/secrets"
)

func newSecretsGetCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "get NAME",
		Short:   "Print one secret",
		Long:    "Prints the value alone, to be read out or piped.",
		Example: "  hcchart secrets get users.bob",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			cluster, path, err := a.loadCluster()
			if err != nil {
				return err
			}
			file, err := secrets.Open(path)
			if err != nil {
				return err
			}
			if !file.Has(args[0]) {
				if err := file.MayChange(cluster, args[0]); err != nil {
					return err // no such secret, with what was probably meant
				}
			}
			value, err := file.Get(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.out, strings.TrimSuffix(value, "\n"))
			return err
		},
	}
}

func newSecretsSetCommand(a *app) *cobra.Command {
	var generate bool
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Write one secret",
		Long: `Asks for the value twice on a terminal, without showing it; otherwise reads it
from standard input, without the last line end. A value is never an argument,
because every program on this machine can read those.

Only names that the cluster file knows are taken. hcchart up or secrets apply
brings the change into the cluster.`,
		Example: `  hcchart secrets set users.bob
  hcchart secrets set users.bob < password.txt
  hcchart secrets set users.bob --generate && hcchart secrets get users.bob`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if a.file == "-" && !generate {
				return usageError{errors.New("standard input cannot be both the cluster file and the value; name the cluster file with --file")}
			}
			// What can't be set is said before a person types a password.
			err := a.changeSecrets(cmd.Context(), func(file *secrets.File, cluster *config.Cluster) error {
				if generate {
					return file.Generate(cluster, name)
				}
				return file.MayChange(cluster, name)
			})
			if err != nil || generate {
				return err
			}
			value, err := a.readSecret(cmd.Context(), name)
			if err != nil {
				return err
			}
			return a.changeSecrets(cmd.Context(), func(file *secrets.File, cluster *config.Cluster) error {
				return file.Set(cluster, name, value)
			})
		},
	}
	cmd.Flags().BoolVar(&generate, "generate", false, "make a new random value instead of asking")
	return cmd
}

// secretSize is more than any password or key in PEM.
const secretSize = 64 << 10

// readSecret asks on a terminal, and reads a pipe or a file to its end.
func (a *app) readSecret(ctx context.Context, name string) (string, error) {
	if a.keyboard == nil {
		value, err := io.ReadAll(io.LimitReader(a.in, secretSize+1))
		if err != nil {
			return "", fmt.Errorf("read the value from standard input: %w", err)
		}
		if len(value) > secretSize {
			return "", fmt.Errorf("%s: the value is larger than %d bytes; that is not a secret of ours", name, secretSize)
		}
		value = bytes.TrimSuffix(value, []byte("\n"))
		return string(bytes.TrimSuffix(value, []byte("\r"))), nil
	}
	first, err := a.ask(ctx, name+": ")
	if err != nil {
		return "", err
	}
	second, err := a.ask(ctx, name+", again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", fmt.Errorf("%s: the two values differ; nothing was changed, run the command again", name)
	}
	return first, nil
}

// ask reads a line without showing it. An interrupt gives the terminal back as
// it was.
func (a *app) ask(ctx context.Context, prompt string) (string, error) {
	fd := int(a.keyboard.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("ask on the terminal: %w", err)
	}
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	fmt.Fprint(a.err, prompt)
	go func() { // ends with the answer, or with the process: a read can't be cancelled
		line, err := term.ReadPassword(fd)
		answers <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	case got := <-answers:
		fmt.Fprintln(a.err)
		if got.err != nil {
			return "", fmt.Errorf("ask on the terminal: %w", got.err)
		}
		return string(got.line), nil
	}
}

func newSecretsUnsetCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "unset NAME...",
		Short: "Remove secrets for good",
		Long: `Removes entries that the cluster file no longer needs, or gives up the identity
of a board, both halves at once: the next secrets init makes a new one, and every
peer has to accept the board as a new device.`,
		Example: `  hcchart secrets unset users.carol
  hcchart secrets unset syncthing.node-1.cert syncthing.node-1.key`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return secrets.Change(cmd.Context(), config.SecretsPath(a.file), func(file *secrets.File) error { return file.Unset(args) })
		},
	}
}

func newSecretsRecipientsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recipients",
		Short: "List who can open the secrets file, as age public keys",
		Example: `  hcchart secrets recipients
  hcchart secrets recipients add age1q3cuquvy7g7yaw9at3w5uw86nt0rh7aqe90ja0a042zkfsahcvesv7566j`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			file, err := secrets.Open(config.SecretsPath(a.file))
			if err != nil {
				return err
			}
			a.warnOfOneRecipient(file.Recipients())
			_, err = fmt.Fprintln(a.out, strings.Join(file.Recipients(), "\n"))
			return err
		},
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:     "add RECIPIENT",
			Short:   "Let one more age identity open the file",
			Example: "  hcchart secrets recipients add age1q3cuquvy7g7yaw9at3w5uw86nt0rh7aqe90ja0a042zkfsahcvesv7566j",
			Args:    cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return secrets.Change(cmd.Context(), config.SecretsPath(a.file), func(file *secrets.File) error {
					_, err := file.AddRecipient(args[0])
					return err
				})
			},
		},
		&cobra.Command{
			Use:   "remove RECIPIENT",
			Short: "Encrypt the file anew for everybody else",
			Long: `Encrypts everything with a new key for the other recipients. Whoever could open
the file until now may have kept the values: set passwords anew as well.

The last identity of this machine that opens the file can't be removed.`,
			Example: "  hcchart secrets recipients remove age1q3cuquvy7g7yaw9at3w5uw86nt0rh7aqe90ja0a042zkfsahcvesv7566j",
			Args:    cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				var left []string
				err := secrets.Change(cmd.Context(), config.SecretsPath(a.file), func(file *secrets.File) error {
					err := file.RemoveRecipient(args[0])
					left = file.Recipients()
					return err
				})
				if err != nil {
					return err
				}
				fmt.Fprintf(a.err, "the file opens for %s\n", strings.Join(left, ", "))
				fmt.Fprintln(a.err, "earlier copies of the file, and what was read from them, stay with whoever has them: set passwords anew")
				a.warnOfOneRecipient(left)
				return nil
			},
		},
	)
	return cmd
}
