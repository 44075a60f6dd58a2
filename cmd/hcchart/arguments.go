package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// explainArguments makes every command below say what it takes when it is
// called otherwise: the library's words know of counts and of commands only.
func explainArguments(command *cobra.Command) {
	for _, child := range command.Commands() {
		explainArguments(child)
		switch child.CommandPath() { // the library's own, which print help whatever they are told
		case "hcchart help":
			child.Args = helpTopic
		case "hcchart completion":
			child.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			child.Example = `  source <(hcchart completion bash)
  hcchart completion zsh > "${fpath[1]}/_hcchart"`
		}
		if check := child.Args; check != nil {
			child.SuggestionsMinimumDistance = 2
			child.Args = func(cmd *cobra.Command, args []string) error {
				if err := check(cmd, args); err != nil {
					return usageError{wrongArguments(cmd, args, err)}
				}
				return nil
			}
		}
	}
}

// helpTopic wants the names of a command.
func helpTopic(cmd *cobra.Command, args []string) error {
	if _, rest, err := cmd.Root().Find(args); err != nil || len(rest) > 0 {
		return fmt.Errorf("no command %q", "hcchart "+strings.Join(args, " "))
	}
	return nil
}

func wrongArguments(cmd *cobra.Command, args []string, err error) error {
	usage := strings.TrimSuffix(cmd.UseLine(), " [flags]")
	switch {
	case cmd.HasSubCommands():
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return fmt.Errorf("unknown command %q for %q; did you mean %s?", args[0], cmd.CommandPath(), strings.Join(near, " or "))
		}
		return fmt.Errorf("unknown command %q for %q; %s --help lists them", args[0], cmd.CommandPath(), cmd.CommandPath())
	case usage == cmd.CommandPath():
		return fmt.Errorf("%s takes no argument, such as %s; a cluster file is named by --file", usage, args[0])
	}
	// An argument isn't repeated: it may be a password that was meant for a prompt.
	return fmt.Errorf("%w; write %s", err, usage)
}
