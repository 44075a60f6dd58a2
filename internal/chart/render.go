package chart

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/release"
)

// KubeVersion is the Kubernetes version a chart is rendered for when nobody
// says another: rendering never asks a cluster, and Helm's own default depends
// on how the binary was built.
const KubeVersion = "1.34.0"

// IsKubeVersion tells whether a text is a version to render for.
func IsKubeVersion(text string) bool {
	_, err := chartutil.ParseKubeVersion(text)
	return err == nil
}

// RenderOptions say what to render a chart with.
type RenderOptions struct {
	Release     string
	Namespace   string
	Values      map[string]any
	KubeVersion string // empty: KubeVersion
	IncludeCRDs bool   // also what lies in crds/, as GitOps tools apply it

	// For Documents alone:
	Unchecked   bool     // without asking the schemas of the values
	APIVersions []string // that the cluster offers beside Kubernetes' own, such as GROUP/VERSION/Kind
	Upgrade     bool     // as an upgrade to revision 2, not as an installation
	Asked       *Asked   // nil, or where to note what the templates ask of the cluster
	// Template is the only one to render, by its name in the rendering, and most of
	// the others aren't even read. Empty: all.
	Template string
}

// Rendering is what a chart becomes with given values.
type Rendering struct {
	Manifest string // the objects of the release, in the order of installation
	Hooks    []Hook
	Notes    string
}

// Hook is an object that is applied beside the release, at an event.
type Hook struct {
	Source   string // the template it comes from
	Events   []string
	Manifest string
}

// YAML is the whole rendering as `helm template` prints it, hooks last.
func (r *Rendering) YAML() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, strings.TrimSpace(r.Manifest))
	for _, h := range r.Hooks {
		fmt.Fprintf(&b, "---\n# Source: %s\n# Hook: %s\n%s\n", h.Source, strings.Join(h.Events, ", "), strings.TrimSpace(h.Manifest))
	}
	return b.Bytes()
}

// Render renders the chart in this process. The result depends on nothing but
// the chart and the options.
func (c *Chart) Render(o RenderOptions) (*Rendering, error) {
	return c.render(o, nil, false)
}

// render also takes what a cluster offers beside Kubernetes' own API groups.
func (c *Chart) render(o RenderOptions, offered chartutil.VersionSet, isUpgrade bool) (*Rendering, error) {
	if err := c.Check(o.Values); err != nil {
		return nil, err
	}
	h, err := c.helm()
	if err != nil {
		return nil, err
	}
	values, err := copyValues(o.Values)
	if err != nil {
		return nil, err
	}
	version := o.KubeVersion
	if version == "" {
		version = KubeVersion
	}
	kube, err := chartutil.ParseKubeVersion(version)
	if err != nil {
		return nil, fmt.Errorf("version %q of Kubernetes: %w", version, err)
	}

	install := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}})
	install.ReleaseName = o.Release
	install.Namespace = o.Namespace
	install.DryRun = true
	install.ClientOnly = true
	install.Replace = true // no release exists on this side
	install.KubeVersion = kube
	install.APIVersions = offered
	install.IsUpgrade = isUpgrade
	install.IncludeCRDs = o.IncludeCRDs
	install.SkipSchemaValidation = true // Check did it
	rel, err := install.Run(h, values)
	if err != nil {
		return nil, renderError(c.Name, err)
	}
	return rendering(rel), nil
}

// Document is one object as a template wrote it, a hook or not.
type Document struct {
	Source string // the template, such as homecloud/charts/dnas/templates/service.yaml
	Text   string
}

// Documents renders the chart like Render and returns what the templates wrote,
// by template: neither sorted for an installation nor parsed, which is most of a
// rendering's time.
func (c *Chart) Documents(o RenderOptions) ([]Document, error) {
	prepare := c.checked
	if o.Unchecked {
		prepare = c.merged
	}
	h, values, err := prepare(o.Values)
	if err != nil {
		return nil, err
	}
	kube, err := chartutil.ParseKubeVersion(cmp.Or(o.KubeVersion, KubeVersion))
	if err != nil {
		return nil, fmt.Errorf("version %q of Kubernetes: %w", o.KubeVersion, err)
	}
	if !c.Takes(kube.Version) {
		return nil, fmt.Errorf("chart %s: requires kubeVersion: %s, which Kubernetes %s isn't", c.Name, c.meta.KubeVersion, kube.Version)
	}
	capabilities := &cluster{chartutil.DefaultCapabilities.Copy(), cmp.Or(o.Asked, new(Asked))}
	capabilities.Capabilities.KubeVersion = *kube
	capabilities.Capabilities.APIVersions = slices.Concat(capabilities.Capabilities.APIVersions, o.APIVersions)
	revision := 1
	if o.Upgrade {
		revision = 2
	}
	if o.Template != "" {
		keepTemplates(h, o.Template)
	}
	files, err := engine.Render(h, chartutil.Values{
		"Chart":        h.Metadata,
		"Capabilities": capabilities,
		"Release": map[string]any{
			"Name": o.Release, "Namespace": o.Namespace, "Revision": revision, "IsInstall": !o.Upgrade, "IsUpgrade": o.Upgrade, "Service": "Helm",
		},
		"Values": values,
	})
	if err != nil {
		return nil, renderError(c.Name, err)
	}
	var documents []Document
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if o.Template != "" && name != o.Template || strings.HasSuffix(name, "NOTES.txt") || strings.HasPrefix(path.Base(name), "_") {
			continue
		}
		documents = append(documents, SplitManifest(name, files[name])...)
	}
	return documents, nil
}

// keepTemplates leaves the template of that name, those that define something, and
// those that one of these names: it may include them by their path.
func keepTemplates(h *helmchart.Chart, name string) {
	kept := map[*helmchart.File]bool{}
	var texts [][]byte
	keep := func(is func(full string, template *helmchart.File) bool) (more bool) {
		eachChart(h, func(h *helmchart.Chart) {
			for _, template := range h.Templates {
				if full := path.Join(h.ChartFullPath(), template.Name); !kept[template] && is(full, template) {
					kept[template], more = true, true
					texts = append(texts, template.Data)
				}
			}
		})
		return more
	}
	keep(func(full string, template *helmchart.File) bool {
		return full == name || strings.HasPrefix(path.Base(full), "_") || bytes.Contains(template.Data, []byte("define"))
	})
	named := func(full string, _ *helmchart.File) bool {
		base := []byte(path.Base(full))
		return slices.ContainsFunc(texts, func(text []byte) bool { return bytes.Contains(text, base) })
	}
	for keep(named) {
	}
	eachChart(h, func(h *helmchart.Chart) {
		// A copy of the list: other renderings share it.
		h.Templates = slices.DeleteFunc(slices.Clone(h.Templates), func(template *helmchart.File) bool { return !kept[template] })
	})
}

func eachChart(h *helmchart.Chart, do func(*helmchart.Chart)) {
	do(h)
	for _, sub := range h.Dependencies() {
		eachChart(sub, do)
	}
}

// Takes says whether the chart's kubeVersion admits a version of Kubernetes.
func (c *Chart) Takes(kubeVersion string) bool {
	return c.meta.KubeVersion == "" || chartutil.IsCompatibleRange(c.meta.KubeVersion, kubeVersion)
}

// File is the text of a file, also of a chart below this one, by the name that
// rendering gives it; nil: it isn't there.
func (c *Chart) File(source string) []byte {
	_, name, _ := strings.Cut(source, "/")
	if below, is := strings.CutPrefix(name, "charts/"); is {
		inner, _, _ := strings.Cut(below, "/")
		if sub := c.Dependency(inner); sub != nil {
			return sub.File(below)
		}
	}
	return c.files[name]
}

// SplitManifest takes a manifest apart: several objects, as render and `helm
// template` print them.
func SplitManifest(source, manifest string) (documents []Document) {
	for text := range strings.SplitSeq("\n"+strings.TrimSpace(manifest), "\n---") {
		if text = strings.TrimSpace(text); text != "" {
			documents = append(documents, Document{Source: source, Text: text})
		}
	}
	return documents
}

// Definitions returns the CustomResourceDefinitions in crds/, of this chart and
// of those below it.
func (c *Chart) Definitions() (documents []Document) {
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		if strings.HasPrefix(name, "crds/") && slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)) {
			documents = append(documents, SplitManifest(c.Name+"/"+name, string(c.files[name]))...)
		}
	}
	for _, sub := range c.deps {
		for _, d := range sub.Definitions() {
			documents = append(documents, Document{Source: c.Name + "/charts/" + d.Source, Text: d.Text})
		}
	}
	return documents
}

// Templates returns the text of all templates, of this chart and of those below
// it, partials included, by the name that rendering gives them.
func (c *Chart) Templates() map[string]string {
	templates := map[string]string{}
	for name, text := range c.files {
		if strings.HasPrefix(name, "templates/") {
			templates[c.Name+"/"+name] = string(text)
		}
	}
	for _, sub := range c.deps {
		for name, text := range sub.Templates() {
			templates[c.Name+"/charts/"+name] = text
		}
	}
	return templates
}

func rendering(rel *release.Release) *Rendering {
	r := &Rendering{Manifest: rel.Manifest, Notes: rel.Info.Notes}
	for _, h := range rel.Hooks {
		hook := Hook{Source: h.Path, Manifest: h.Manifest}
		for _, e := range h.Events {
			hook.Events = append(hook.Events, e.String())
		}
		r.Hooks = append(r.Hooks, hook)
	}
	return r
}

// renderError names the chart.
func renderError(name string, err error) error {
	explained := fmt.Errorf("chart %s: %s", name, said(err))
	if failed.MatchString(err.Error()) {
		return demand{explained}
	}
	return explained
}

// demand is what a template says with `fail` or `required`.
type demand struct{ error }

// IsDemand says whether a template refused these values by itself: nothing is
// broken, it wants others.
func IsDemand(err error) bool {
	var d demand
	return errors.As(err, &d)
}

// said makes Helm's words readable: what a template says with `fail` is meant
// for a person, the way to it isn't.
func said(err error) string { return failed.ReplaceAllString(err.Error(), "") }

// failed is the place of a `fail`, as "execution error at (FILE:1:2): ".
var failed = regexp.MustCompile(`^execution error at \([^)]*\): `)

// copyValues protects the caller's map: Helm merges into what it is given.
// Going through JSON also makes of any Go value what a values file would hold.
func copyValues(values map[string]any) (map[string]any, error) {
	text, err := json.Marshal(values)
	if err != nil {
		return nil, err
	}
	copied := map[string]any{}
	if err := json.Unmarshal(text, &copied); err != nil {
		return nil, err
	}
	return copied, nil
}

// Objects counts the objects, hooks aside.
func (r *Rendering) Objects() int {
	found, err := objects(r.Manifest)
	if err != nil {
		return 0 // Helm parsed it before
	}
	return len(found)
}

// Annotation is what a chart says about itself in its Chart.yaml.
type Annotation struct {
	Chart string // its name
	Text  string
}

// Annotations returns an annotation of this chart and of those below it that
// the values enable, where they have it.
func (c *Chart) Annotations(key string, values map[string]any) ([]Annotation, error) {
	h, _, err := c.merged(values)
	if err != nil {
		return nil, err
	}
	return annotations(h, key), nil
}

func annotations(h *helmchart.Chart, key string) (found []Annotation) {
	if text := h.Metadata.Annotations[key]; text != "" {
		found = append(found, Annotation{Chart: h.Name(), Text: text})
	}
	for _, sub := range h.Dependencies() {
		found = append(found, annotations(sub, key)...)
	}
	return found
}
