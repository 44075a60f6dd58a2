package check

// Ids of the rules that aren't about a single rendered object.
const (
	ruleValues        = "values"
	ruleRender        = "render"
	ruleMissing       = "missing-dependency"
	ruleYAML          = "yaml"
	ruleDeterministic = "deterministic"
	ruleRegistry      = "image-registry"
	ruleSubchart      = "subchart-values"
	ruleNoSchema      = "no-schema"
	ruleNotRendered   = "not-rendered"
	ruleCEL           = "cel"
	ruleReleaseState  = "release-state"
	ruleException     = "exception"
	ruleUnused        = "unused-exception"
)

// outside are the rules that are checked outside of the pass over the objects.
var outside = []Rule{
	{ID: ruleValues, Severity: Error, Summary: "Values meet the chart's schema",
		Why:  "a misspelt key is silently ignored otherwise, and what it should have switched on stays off",
		Mend: "correct the values, or the schema"},
	{ID: ruleRender, Severity: Error, Summary: "The chart can be rendered",
		Why: "it can't be installed", Mend: "correct the template, or the values"},
	{ID: ruleMissing, Severity: Error, Summary: "Every dependency that is enabled is there",
		Why:  "Helm leaves out a dependency of a dependency without a word when its archive isn't in charts/",
		Mend: "run `helm dependency build` in the folder of the chart that declares it"},
	{ID: ruleYAML, Severity: Error, Summary: "What a template writes is YAML",
		Why: "it can't be installed", Mend: "look at the template's indentation and quotes"},
	{ID: ruleDeterministic, Severity: Error, Summary: "Rendered twice, the chart is the same",
		Why:  "each upgrade changes something nobody asked for, and a tool that compares (Argo CD, Flux) never comes to rest",
		Mend: "take random values from a Secret that is made once, outside of the chart"},
	{ID: ruleRegistry, Severity: Warning, Summary: "global.imageRegistry reaches every image",
		Why:  "whoever mirrors images, or has no internet, can't install the chart",
		Mend: "prepend .Values.global.imageRegistry in one helper that every image goes through"},
	{ID: ruleNoSchema, Severity: Note, Summary: "Objects of a kind that nobody knows aren't validated",
		Why:  "nothing is said about them, good or bad",
		Mend: "give the definitions of the kind: --crds FILE or FOLDER"},
	{ID: ruleNotRendered, Severity: Note, Summary: "What isn't rendered here isn't looked at",
		Why:  "nothing is said about it, good or bad",
		Mend: "offer what templates ask for with --api-versions GROUP/VERSION, and enable sub-charts with --values or --matrix"},
	{ID: ruleCEL, Severity: Note, Summary: "Rules in CEL aren't evaluated",
		Why:  "only an API server evaluates them: it may refuse what is good here",
		Mend: "try the object with `kubectl apply --dry-run=server` in a cluster that has the definition"},
	{ID: ruleReleaseState, Severity: Warning, Summary: "An upgrade renders what an installation renders",
		Why:  "Argo CD and `helm template` always render an installation; with Helm, what only that has goes at the next upgrade",
		Mend: "decide by values instead of .Release.IsInstall, .Release.IsUpgrade and .Release.Revision, or use a hook"},
	{ID: ruleException, Severity: Error, Summary: "Annotations accept findings of rules that there are",
		Why: "the annotation accepts nothing", Mend: "write check.homecloud/RULE with an id of hcchart check --rules"},
	{ID: ruleUnused, Severity: Note, Summary: "Every exception accepts something",
		Why:  "it would accept, unseen, what somebody breaks later",
		Mend: "remove it, or check with the values that need it"},
	{ID: ruleSubchart, Severity: Error, Summary: "A chart with a schema can be somebody's dependency",
		Why:  "Helm gives every dependency `global`, and its own `enabled` where the condition names it; a schema that refuses them makes the umbrella fail",
		Mend: "declare `global` (an open object) and `enabled` (a boolean) in values.schema.json"},
}

// rules are those that look at what was rendered. Each stands with its code.
var rules = concat(objectRules, podRules, referenceRules, gitopsRules, releaseRules)

func concat(lists ...[]Rule) (all []Rule) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}
