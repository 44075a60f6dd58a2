package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func newInstallCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "install DIR",
		Short: "Copy this program into a folder that other containers mount",
		Long: `install copies this program to DIR/homecloud-agent, so that any image can be
started through the gate, also one without a shell.`,
		Example: "  homecloud-agent install /agent",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := install(args[0])
			if err == nil {
				a.log.Info("installed", "path", path)
			}
			return err
		},
	}
}

// install replaces the copy in one step: another container may be running it.
func install(folder string) (string, error) {
	path := filepath.Join(folder, "homecloud-agent")
	source, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("install: %w", err)
	}
	defer source.Close()
	temporary := path + ".new"
	target, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return "", fmt.Errorf("install: %w", err)
	}
	_, err = io.Copy(target, source)
	err = errors.Join(err, target.Chmod(0o755), target.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return "", fmt.Errorf("install: %w", err)
	}
	return path, nil
}
