package gitops

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"

	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/cloud"
	"github.com/tmorin/homecloud/internal/secrets"
	"github.com/tmorin/homecloud/internal/values"
)

// folder is what the templates of all files read.
type folder struct {
	Options
	Root, AgeSecret string
	Namespaces      []string
	Resources       []string // what the folder's own kustomization lists
}

// release is what the template of a release reads.
type release struct {
	*folder
	cloud.Release
	Order          int
	After          []string // releases that come before
	ChartPath      string   // in the repository
	ValuesText     string
	HasDefinitions bool // the chart brings kinds of its own
	Ignored        []ignored
}

// Files computes the files of the folder, by their path in it.
func Files(releases []cloud.Release, o Options) (map[string]File, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	all := &folder{Options: o, Root: root, AgeSecret: ageSecret, Resources: []string{"namespaces.yaml"}}
	files := map[string]File{}
	if err := all.secrets(files); err != nil {
		return nil, err
	}
	var before []string
	for i, r := range releases {
		if r.NeedsNamespace() {
			all.Namespaces = append(all.Namespaces, r.Namespace)
		}
		if !r.On {
			continue
		}
		one := &release{folder: all, Release: r, Order: i + 1, After: slices.Clone(before)}
		if err := one.files(files); err != nil {
			return nil, err
		}
		before = append(before, r.Name)
	}
	own := []struct{ name, template string }{
		{"README.md", o.Tool + "/README.md"}, {"bootstrap.yaml", o.Tool + "/bootstrap.yaml"},
		{"namespaces.yaml", "namespaces.yaml"}, {"kustomization.yaml", "kustomization.yaml"},
		{"own/kustomization.yaml", "own.yaml"},
	}
	if o.Tool == ArgoCD {
		own = append(own, struct{ name, template string }{"argocd-cm.yaml", "argocd/argocd-cm.yaml"})
	}
	for _, file := range own {
		content, err := execute(file.template, all)
		if err != nil {
			return nil, err
		}
		files[file.name] = File{Content: content, Once: strings.HasPrefix(file.name, "own/")}
	}
	return files, nil
}

// secrets adds an encrypted file for each Secret.
func (f *folder) secrets(files map[string]File) error {
	for _, secret := range f.Secrets {
		kept := keptByFlux(secret)
		content, err := secrets.EncryptManifest(kept, f.Recipients)
		if err != nil {
			return err
		}
		name := path.Join("secrets", secret.Name+".yaml")
		files[name] = File{Content: content, Private: true, Serves: func(before []byte) bool {
			return secrets.HoldsManifest(before, kept, f.Recipients)
		}}
		f.Resources = append(f.Resources, name)
	}
	return nil
}

// keptByFlux is the Secret as Flux may have it: never deleted, because it may
// be all that is left of a board's identity, and an identity that is there is
// never replaced.
func keptByFlux(secret *corev1.Secret) *corev1.Secret {
	kept := secret.DeepCopy()
	kept.Annotations["kustomize.toolkit.fluxcd.io/prune"] = "disabled"
	if secrets.IsIdentity(secret) {
		kept.Annotations["kustomize.toolkit.fluxcd.io/ssa"] = "IfNotPresent"
	}
	return kept
}

// files adds the release and, unless it is published, its chart.
func (r *release) files(files map[string]File) error {
	at := path.Join("charts", r.Chart.Name)
	r.ChartPath = path.Join(r.Path, at)
	if r.Registry == "" {
		content, err := r.chart()
		if err != nil {
			return err
		}
		for name, text := range content {
			files[path.Join(at, name)] = File{Content: text}
		}
	}
	rendered, err := r.Chart.Render(chart.RenderOptions{Release: r.Name, Namespace: r.Namespace, Values: r.Values, IncludeCRDs: true})
	if err != nil {
		return err
	}
	if r.HasDefinitions, r.Ignored, err = look(rendered); err != nil {
		return err
	}
	if r.ValuesText, err = text(r.Values); err != nil {
		return err
	}
	content, err := execute(r.Tool+"/release.yaml", r)
	if err != nil {
		return err
	}
	name := path.Join("releases", r.Name+".yaml")
	files[name] = File{Content: content}
	r.Resources = append(r.Resources, name)
	return nil
}

// chart is the release's chart, unpacked, with all that it needs: neither tool
// finds a dependency of a dependency by itself. What isn't downloaded is left
// out, and so is the platform from the services: it is a release of its own.
func (r *release) chart() (map[string][]byte, error) {
	var without []string
	if r.Chart.Dependency(values.ChartPlatform) != nil {
		without = append(without, values.ChartPlatform)
	}
	for _, missing := range r.Chart.Missing {
		if !strings.HasPrefix(missing.Parent, values.ChartUmbrella+"/"+values.ChartPlatform) {
			without = append(without, missing.Name)
		}
	}
	return r.Chart.Unpacked(without...)
}

// RegistryName is the registry as Argo CD takes it.
func (r *release) RegistryName() string { return strings.TrimPrefix(r.Registry, "oci://") }

//go:embed templates
var templates embed.FS

var functions = template.FuncMap{
	"yaml":   func(text string) (string, error) { return encode(text) },
	"indent": indent,
	"below":  func(name string) string { return strings.TrimSuffix("./"+name, ".") }, // as Flux writes a path
}

func execute(name string, data any) ([]byte, error) {
	source, err := templates.ReadFile(path.Join("templates", name))
	if err != nil {
		return nil, err
	}
	parsed, err := template.New(name).Funcs(functions).Option("missingkey=error").Parse(string(source))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, data); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// text is a values file: the same values give the same bytes.
func text(of map[string]any) (string, error) {
	if of == nil {
		of = map[string]any{}
	}
	return encode(of)
}

func encode(value any) (string, error) {
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(value); err != nil {
		return "", err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// indent puts a value below its key.
func indent(spaces int, text string) string {
	if text == "{}" {
		return " {}"
	}
	margin := "\n" + strings.Repeat(" ", spaces)
	var out strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" { // inside of a text of several lines
			out.WriteString("\n")
			continue
		}
		out.WriteString(margin + line)
	}
	return out.String()
}

// ignored are fields of a kind that somebody else writes after the
// installation: they are no difference.
type ignored struct {
	Group, Kind string
	Fields      []string // for Argo CD, as jq names them
	Pointer     string   // for Flux: the same or what holds it
}

// known are those that the charts which the platform can hold are famous for.
// Homecloud's own objects are changed by nobody.
var known = []ignored{
	{"admissionregistration.k8s.io", "MutatingWebhookConfiguration", []string{".webhooks[]?.clientConfig.caBundle", ".webhooks[]?.failurePolicy"}, "/webhooks"},
	{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration", []string{".webhooks[]?.clientConfig.caBundle", ".webhooks[]?.failurePolicy"}, "/webhooks"},
	{"apiextensions.k8s.io", "CustomResourceDefinition", []string{".spec.conversion.webhook.clientConfig.caBundle"}, "/spec/conversion"},
	{"apiregistration.k8s.io", "APIService", []string{".spec.caBundle"}, "/spec/caBundle"},
}

// look finds what of that a release holds, and whether it brings kinds.
func look(rendered *chart.Rendering) (definitions bool, found []ignored, err error) {
	there := map[string]bool{}
	for _, document := range chart.SplitManifest("", string(rendered.YAML())) {
		var object struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string `yaml:"kind"`
		}
		if err := yaml.Unmarshal([]byte(document.Text), &object); err != nil {
			return false, nil, fmt.Errorf("read what the chart renders: %w", err)
		}
		group, _, _ := strings.Cut(object.APIVersion, "/")
		there[group+"/"+object.Kind] = true
	}
	for _, kind := range known {
		if there[kind.Group+"/"+kind.Kind] {
			found = append(found, kind)
		}
	}
	return there["apiextensions.k8s.io/CustomResourceDefinition"], found, nil
}
