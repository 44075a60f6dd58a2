package check

import (
	"slices"
	"strings"
	"text/template/parse"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var gitopsRules = []Rule{
	{ID: "template-function", Severity: Warning, Summary: "Templates use no chance, no clock and no look-up",
		Why:  "Argo CD and `helm template` render without a cluster and at every comparison: passwords change, look-ups find nothing",
		Mend: "take such values from a Secret that is made once, or from the values", check: checkFunctions},
	{ID: "hook-order", Severity: Error, Summary: "Hooks that come before the release don't need it",
		Why:  "a pre-install hook runs before the release's own objects exist; so does a pre-upgrade hook at Argo CD's first synchronisation",
		Mend: "make what it needs a hook with a smaller weight, or run it as post-install, post-upgrade", check: checkHookOrder},
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
	templates := r.chart.Templates()
	for _, name := range sortedKeys(templates) {
		text := templates[name]
		tree := parse.New(name)
		tree.Mode = parse.SkipFuncCheck
		trees := map[string]*parse.Tree{}
		if _, err := tree.Parse(text, "", "", trees); err != nil {
			continue // it couldn't be rendered either
		}
		for _, one := range sortedKeys(trees) {
			identifiers(trees[one].Root, func(node *parse.IdentifierNode) {
				what := fickle[node.Ident]
				if what == "" {
					return
				}
				f := Finding{Rule: r.rule.ID, Source: name, Line: 1 + strings.Count(text[:node.Position()], "\n"), Text: node.Ident + " takes its result from " + what}
				r.add(f)
			})
		}
	}
}

// identifiers calls back for every function that a template calls.
func identifiers(node parse.Node, found func(*parse.IdentifierNode)) {
	switch n := node.(type) {
	case *parse.IdentifierNode:
		found(n)
	case *parse.ListNode:
		if n != nil {
			for _, inner := range n.Nodes {
				identifiers(inner, found)
			}
		}
	case *parse.ActionNode:
		identifiers(n.Pipe, found)
	case *parse.TemplateNode:
		identifiers(n.Pipe, found)
	case *parse.PipeNode:
		if n != nil {
			for _, command := range n.Cmds {
				identifiers(command, found)
			}
		}
	case *parse.CommandNode:
		for _, argument := range n.Args {
			identifiers(argument, found)
		}
	case *parse.ChainNode:
		identifiers(n.Node, found)
	case *parse.IfNode:
		branches(&n.BranchNode, found)
	case *parse.RangeNode:
		branches(&n.BranchNode, found)
	case *parse.WithNode:
		branches(&n.BranchNode, found)
	}
}

func branches(n *parse.BranchNode, found func(*parse.IdentifierNode)) {
	identifiers(n.Pipe, found)
	identifiers(n.List, found)
	identifiers(n.ElseList, found)
}

func checkHookOrder(r *run) {
	for _, o := range r.objects {
		if o.pod == nil || !slices.ContainsFunc(o.hooks(), func(h string) bool { return h == "pre-install" || h == "pre-upgrade" }) {
			continue
		}
		told := map[string]bool{}
		for _, n := range o.needs() {
			needed := r.find(n.kind, n.name, o.namespace)
			if needed != nil && needed.hooks() == nil && !told[needed.String()] {
				told[needed.String()] = true
				r.found(o, "is a %s hook and needs the %s, which comes after it", strings.Join(o.hooks(), ", "), needed)
			}
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
