package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/chart"
)

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
