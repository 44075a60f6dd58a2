package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tmorin/homecloud/internal/budget"
	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/picture"
	"github.com/tmorin/homecloud/internal/values"
)

// budgetResult is what budget prints.
type budgetResult struct {
	*budget.Budget
	Ways []budget.Way `json:"ways"` // to need less, for the boards that are too small
}

func newBudgetCommand(a *app) *cobra.Command {
	var flags chartFlags
	var output string
	cmd := &cobra.Command{
		Use:   "budget",
		Short: "Say whether the boards have the memory that the cloud needs",
		Long: `budget adds up what everything that the cluster file switches on needs of each
board, and compares it with the memory that the board has (nodes[].memory). It
asks neither boards nor cluster.

NEEDS is what Kubernetes sets aside (requests), AT MOST what is taken when
everything grows to its limit. What may run on several boards is counted on the
one with the most room left, the largest first. k3s is counted as its makers
measured it on a Raspberry Pi 4 (docs.k3s.io/reference/resource-profiling):
1215 MB on a server, 1413 MB on each of several servers, 268 MB on an agent. The
system is counted with 256 MiB, and 100 MiB stay free, as below that Kubernetes
ends pods. CPU is in cores, and is not judged: too little of it is only slow.

A board that is too small is told with what the cluster file can switch off, the
most first; each way is tried. That everything together may take more than there
is, is a warning.

JSON and YAML have memory in bytes (0: not known) and CPU in thousandths of a core.

The exit code is 2 when something doesn't fit.`,
		Example: `  hcchart budget
  hcchart budget -o svg > memory.svg
  hcchart budget -o json | jq -r '.boards[] | select(.verdict == "too small") | .name'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if !slices.Contains([]string{"table", "json", "yaml", "svg"}, output) {
				return usageError{fmt.Errorf("--output %q: write table, json, yaml or svg", output)}
			}
			if err := flags.check(a); err != nil {
				return err
			}
			cluster, err := config.LoadFrom(a.file, a.in)
			if err != nil {
				return err
			}
			result, err := flags.count(a, cluster)
			if err != nil {
				return err
			}
			if output == "svg" {
				_, err = a.out.Write(picture.Budget(result.Budget))
			} else {
				err = outputFormat(output).print(a.out, result, func(table *tableWriter) { printBudget(table, a.file, result) })
			}
			if err == nil && !result.Fits() {
				return errDifferences
			}
			return err
		},
	}
	flags.addCharts(cmd)
	flags.addValues(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json, yaml or svg")
	return cmd
}

// count renders the umbrella and adds up, and again for each way to need less.
func (f *chartFlags) count(a *app, cluster *config.Cluster) (budgetResult, error) {
	umbrella, err := f.library().Load(values.ChartUmbrella)
	if err != nil {
		return budgetResult{}, err
	}
	defaults, err := f.defaults()
	if err != nil {
		return budgetResult{}, err
	}
	over, err := f.overlay(a, map[string]any{})
	if err != nil {
		return budgetResult{}, err
	}
	render := func(cluster *config.Cluster) ([]chart.Document, error) {
		computed, err := values.Umbrella(cluster, defaults)
		if err != nil {
			return nil, err
		}
		return umbrella.Documents(chart.RenderOptions{
			Release: config.Release, Namespace: config.Release, Values: values.Merge(computed.Map(), over),
		})
	}
	documents, err := render(cluster)
	if err != nil {
		return budgetResult{}, err
	}
	counted, err := budget.Count(cluster, documents)
	if err != nil {
		return budgetResult{}, err
	}
	ways, err := counted.Ways(cluster, render)
	return budgetResult{counted, ways}, err
}

func printBudget(table *tableWriter, file string, result budgetResult) {
	table.row("BOARD", "PART", "   NEEDS", " AT MOST", "CPU")
	for _, board := range result.Boards {
		for i, part := range board.Parts {
			name := ""
			if i == 0 {
				name = board.Name
			}
			printPart(table, name, part)
		}
		table.row("", "together", amount(board.Needs), amount(board.Most), board.CPU.String())
	}
	for _, part := range result.Nowhere {
		printPart(table, "nowhere", part)
	}
	fmt.Fprintln(table)
	for i, board := range result.Boards {
		switch board.Verdict {
		case budget.Tight:
			fmt.Fprintf(table, "warning: %s %s\n", board.Name, board.Balance())
		case budget.Unknown:
			fmt.Fprintf(table, "%s %s; write nodes[%d].memory, such as 4Gi\n", board.Name, board.Balance(), i)
		default:
			fmt.Fprintf(table, "%s %s\n", board.Name, board.Balance())
		}
	}
	for _, part := range result.Nowhere {
		fmt.Fprintf(table, "%s may run on none of the boards: no board has the labels that it asks for\n", part)
	}
	for _, board := range result.Boards {
		if board.Verdict == budget.TooSmall {
			printWays(table, file, board, result.Ways)
		}
	}
}

func printPart(table *tableWriter, board string, part budget.Part) {
	name, most := part.String(), amount(part.Most)
	if part.Elsewhere {
		name += " (or elsewhere)"
	}
	if part.Ends {
		name += " (for a while)"
	}
	if part.Unlimited {
		most = "no limit"
	}
	table.row(board, name, amount(part.Needs), most, part.CPU.String())
}

func amount(b budget.Bytes) string { return fmt.Sprintf("%4d MiB", (int64(b)+1<<19)>>20) }

func printWays(table *tableWriter, file string, board budget.Board, ways []budget.Way) {
	var own []budget.Way
	for _, way := range ways {
		if way.Board == board.Name {
			own = append(own, way)
		}
	}
	if len(own) == 0 {
		fmt.Fprintf(table, "\nNothing in %s makes %s need less: it takes a board with %s.\n", config.FileName(file), board.Name, board.Needs)
		return
	}
	fmt.Fprintf(table, "\nTo need less on %s, write in %s:\n", board.Name, config.FileName(file))
	enough := false
	for _, way := range own {
		note := ""
		if way.Enough {
			note, enough = ", which is enough", true
		}
		fmt.Fprintf(table, "  %s: frees %s%s\n", way.Write, way.Frees, note)
	}
	if !enough {
		fmt.Fprintf(table, "None of them is enough alone; a board with %s needs none.\n", board.Needs)
	}
}
