package check

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	"helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tmorin/homecloud/internal/config"
)

var gitopsRules = []Rule{
	{ID: "template-function", Severity: Warning, Summary: "Templates use no chance, no clock and no look-up",
		Why:  "Argo CD and `helm template` render without a cluster and at every comparison: passwords change, look-ups find nothing",
		Mend: "take such values from a Secret that is made once, or from the values", check: checkFunctions},
	{ID: "hook", Severity: Error, Summary: "Hooks are annotated with what Helm knows",
		Why:  "Helm leaves out an object whose hook it doesn't know, and takes another weight or policy, without a word",
		Mend: "correct the annotation", check: checkHookWords},
	{ID: "hook-order", Severity: Error, Summary: "What a pod needs comes before it, and stays",
		Why:  "a pre-install hook runs before the release's own objects exist (so does a pre-upgrade hook at Argo CD's first synchronisation), and with --wait a post-install hook runs when all pods are ready",
		Mend: "give what it needs an earlier hook, a smaller weight or no hook-succeeded, or run it later", check: checkHookOrder},
	{ID: "hook-job", Severity: Warning, Summary: "Jobs that are hooks make room for the next one",
		Why:  "a Job can't be changed: the next upgrade fails while the last one's is there",
		Mend: "annotate it with helm.sh/hook-delete-policy: before-hook-creation", check: checkHookJobs},
}

// fickle are the functions whose result is another one at the next rendering, or
// without a cluster.
var fickle = map[string]string{
	"randAlphaNum": "chance", "randAlpha": "chance", "randAscii": "chance", "randNumeric": "chance", "randBytes": "chance", "randInt": "chance",
	"shuffle": "chance", "uuidv4": "chance", "genPrivateKey": "chance", "genCA": "chance", "genCAWithKey": "chance", "genSelfSignedCert": "chance",
	"genSelfSignedCertWithKey": "chance", "genSignedCert": "chance", "genSignedCertWithKey": "chance", "bcrypt": "chance", "htpasswd": "chance",
	"encryptAES": "chance", "now": "the clock", "ago": "the clock", "lookup": "a look-up in the cluster", "getHostByName": "a look-up in the network",
}

func checkFunctions(r *run) {
	defined := map[string][]definition{}
	var reached []string
	templates := r.chart.Templates()
	for _, file := range sortedKeys(templates) {
		tree := parse.New(file)
		tree.Mode = parse.SkipFuncCheck
		trees := map[string]*parse.Tree{}
		if _, err := tree.Parse(templates[file], "", "", trees); err != nil {
			continue // it couldn't be rendered either
		}
		for _, name := range sortedKeys(trees) {
			defined[name] = append(defined[name], definition{file, templates[file], trees[name].Root})
			base := path.Base(file)
			if name == file && !strings.HasPrefix(base, "_") && base != "NOTES.txt" || r.chart.IsLibrary() {
				reached = append(reached, name)
			}
		}
	}
	// reached grows by what is included; a name that only rendering makes may be any.
	for i := 0; i < len(reached); i++ {
		for _, d := range defined[reached[i]] {
			walk(d.root, func(node parse.Node) {
				for _, name := range included(node, defined) {
					if !slices.Contains(reached, name) {
						reached = append(reached, name)
					}
				}
				if call, is := node.(*parse.IdentifierNode); is && fickle[call.Ident] != "" {
					r.add(Finding{Rule: r.rule.ID, Source: d.file, Line: 1 + strings.Count(d.text[:call.Position()], "\n"),
						Text: call.Ident + " takes its result from " + fickle[call.Ident]})
				}
			})
		}
	}
}

// definition is a template: a file, or a part of one that has a name.
type definition struct {
	file, text string
	root       *parse.ListNode
}

// included are the templates that a node may call.
func included(node parse.Node, defined map[string][]definition) []string {
	switch n := node.(type) {
	case *parse.TemplateNode:
		return []string{n.Name}
	case *parse.CommandNode:
		if call, is := n.Args[0].(*parse.IdentifierNode); !is || call.Ident != "include" || len(n.Args) < 2 {
			return nil
		}
		if name, is := n.Args[1].(*parse.StringNode); is {
			return []string{name.Text}
		}
		var partials []string
		for _, name := range sortedKeys(defined) {
			if name != defined[name][0].file {
				partials = append(partials, name)
			}
		}
		return partials
	}
	return nil
}

// walk calls back for every node of a template.
func walk(node parse.Node, found func(parse.Node)) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, inner := range n.Nodes {
				walk(inner, found)
			}
		}
		return
	case *parse.PipeNode:
		if n != nil {
			for _, command := range n.Cmds {
				walk(command, found)
			}
		}
		return
	case *parse.ActionNode:
		walk(n.Pipe, found)
	case *parse.TemplateNode:
		walk(n.Pipe, found)
	case *parse.CommandNode:
		for _, argument := range n.Args {
			walk(argument, found)
		}
	case *parse.ChainNode:
		walk(n.Node, found)
	case *parse.IfNode:
		branches(&n.BranchNode, found)
	case *parse.RangeNode:
		branches(&n.BranchNode, found)
	case *parse.WithNode:
		branches(&n.BranchNode, found)
	}
	found(node)
}

func branches(n *parse.BranchNode, found func(parse.Node)) {
	walk(n.Pipe, found)
	walk(n.List, found)
	walk(n.ElseList, found)
}

// A release comes in these turns, hooks of one turn by their weight.
const (
	before  = iota // hooks before the release
	within         // the release's own objects
	after          // hooks after the release
	another        // on another occasion: a test, a deletion
)

// turns are when an object comes, first things first, and its weight; what is
// no number as weight is 0 to Helm.
func (o *object) turns() (turns []int, weight int) {
	hooks := o.hooks()
	if hooks == nil {
		return []int{within}, 0
	}
	weight, _ = strconv.Atoi(o.annotation("helm.sh/hook-weight"))
	if slices.Contains(hooks, "pre-install") || slices.Contains(hooks, "pre-upgrade") {
		turns = append(turns, before)
	}
	if slices.Contains(hooks, "post-install") || slices.Contains(hooks, "post-upgrade") {
		turns = append(turns, after)
	}
	if turns == nil {
		turns = append(turns, another)
	}
	return turns, weight
}

func checkHookOrder(r *run) {
	for _, o := range r.objects {
		if o.pod == nil {
			continue
		}
		told := map[string]bool{}
		turns, weight := o.turns()
		for _, turn := range turns {
			for _, n := range o.needs() {
				needed := r.find(n.kind, n.name, o.namespace)
				if needed == nil || told[needed.String()] || turn == another {
					continue
				}
				problem := needed.comesTooLate(turn, weight)
				if problem == "" {
					continue
				}
				told[needed.String()] = true
				needs := "needs the " + needed.String() + ", which " + problem
				if turn != within {
					needs = "is a " + strings.Join(o.hooks(), ", ") + " hook and " + needs
				}
				r.found(o, "%s", needs)
			}
		}
	}
}

// comesTooLate says why an object isn't there in a turn; empty: it is.
func (o *object) comesTooLate(turn, weight int) string {
	turns, own := o.turns()
	first := turns[0]
	switch {
	case slices.Contains(turns, turn):
		if own > weight {
			return "comes after it"
		}
	case first == another:
		return "is only there as a " + strings.Join(o.hooks(), ", ") + " hook"
	case first > turn && turn == within: // with --wait neither goes on
		return "is a " + strings.Join(o.hooks(), ", ") + " hook and comes when its pods are ready"
	case first > turn:
		return "comes after it"
	case strings.Contains(o.annotation("helm.sh/hook-delete-policy"), string(release.HookSucceeded)):
		return "Helm deletes before that (hook-succeeded)"
	}
	return ""
}

// Words of the annotations of hooks. Source: Helm's pkg/releaseutil, which
// keeps its list to itself.
var (
	hookEvents = []string{string(release.HookPreInstall), string(release.HookPostInstall), string(release.HookPreDelete), string(release.HookPostDelete),
		string(release.HookPreUpgrade), string(release.HookPostUpgrade), string(release.HookPreRollback), string(release.HookPostRollback),
		string(release.HookTest), "test-success"}
	hookPolicies = []string{string(release.HookSucceeded), string(release.HookFailed), string(release.HookBeforeHookCreation)}
)

func checkHookWords(r *run) {
	for _, o := range r.objects {
		for annotation, words := range map[string][]string{"helm.sh/hook": hookEvents, "helm.sh/hook-delete-policy": hookPolicies} {
			written := o.annotation(annotation)
			if written == "" {
				continue
			}
			for _, word := range strings.Split(strings.ToLower(written), ",") {
				if word = strings.TrimSpace(word); !slices.Contains(words, word) {
					meant := config.Suggest(word, words)
					if meant == "" {
						meant = "one of " + strings.Join(words, ", ")
					}
					r.found(o, "%s: Helm knows no %q; did you mean %s?", annotation, word, meant)
				}
			}
		}
		weight := o.annotation("helm.sh/hook-weight")
		if _, err := strconv.Atoi(weight); weight != "" && err != nil {
			r.found(o, "helm.sh/hook-weight: %q is no whole number, and 0 to Helm", weight)
		}
	}
}

func checkHookJobs(r *run) {
	for _, o := range r.objects {
		if !o.is("Job") || o.hooks() == nil || o.isTest() {
			continue
		}
		generated, _, _ := unstructured.NestedString(o.value, "metadata", "generateName")
		policy := o.annotation("helm.sh/hook-delete-policy")
		if generated == "" && policy != "" && !strings.Contains(policy, "before-hook-creation") {
			r.found(o, "is only deleted on %s", policy)
		}
	}
}
