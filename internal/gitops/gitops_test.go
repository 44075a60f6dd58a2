package gitops

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/charts"
	"github.com/tmorin/homecloud/internal/chart"
	"github.com/tmorin/homecloud/internal/cloud"
	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/kubeschema"
	"github.com/tmorin/homecloud/internal/secrets"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txtar")

const twoBoards = "../../examples/two-boards.yaml"

func load(t *testing.T, file string) *config.Cluster {
	t.Helper()
	cluster, err := config.Load(file)
	require.NoError(t, err)
	return cluster
}

func releases(t *testing.T, file string, library chart.Library, overlay map[string]any) []cloud.Release {
	t.Helper()
	found, err := cloud.Releases(load(t, file), library, overlay)
	require.NoError(t, err)
	return found
}

// options are those of a folder "home" of a repository.
func options(tool string) Options {
	return Options{
		Tool: tool, Repository: "https://git.home/alice/cloud.git", Path: "home", Revision: "main",
		ControllerNamespace: map[string]string{ArgoCD: "argocd", Flux: "flux-system"}[tool],
		NamespaceLabels:     map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
		Project:             "default",
		SecretNames:         []string{"homecloud-users", "homecloud-dnas-syncthing-peers"},
		Command:             "hcchart gitops " + tool + " --out . --path home --repo https://git.home/alice/cloud.git",
	}
}

// withSecrets lets the folder hold the cluster's Secrets, encrypted for an
// identity that SOPS finds.
func withSecrets(t *testing.T, o Options, file string) Options {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SOPS_AGE_KEY", identity.String())
	path := filepath.Join(t.TempDir(), "homecloud.secrets.yaml")
	_, err = secrets.Init(t.Context(), path, load(t, file), secrets.InitOptions{})
	require.NoError(t, err)
	opened, err := secrets.Open(path)
	require.NoError(t, err)
	o.Secrets, err = secrets.Kubernetes(opened, load(t, file), config.Release, config.Release)
	require.NoError(t, err)
	o.Recipients, o.SecretNames = []string{identity.Recipient().String()}, nil
	return o
}

// cases are the folders that the tests look at: their options and what is in
// them.
func cases(t *testing.T) map[string]func(*testing.T) map[string]File {
	t.Helper()
	folder := func(o func(*testing.T) Options, library chart.Library) func(*testing.T) map[string]File {
		return func(t *testing.T) map[string]File {
			files, err := Files(releases(t, twoBoards, library, nil), o(t))
			require.NoError(t, err)
			return files
		}
	}
	published := func(tool string) func(*testing.T) Options {
		return func(*testing.T) Options {
			o := options(tool)
			o.Registry, o.RepositorySecret, o.Project = "oci://registry.home:5000/charts/", "git", "home"
			return o
		}
	}
	plain := func(tool string) func(*testing.T) Options { return func(*testing.T) Options { return options(tool) } }
	ours, strangers := chart.Embedded(charts.FS), chart.Directory("testdata/charts")
	return map[string]func(*testing.T) map[string]File{
		"argocd":           folder(plain(ArgoCD), ours),
		"argocd-published": folder(published(ArgoCD), ours),
		"argocd-webhooks":  folder(plain(ArgoCD), strangers),
		"flux":             folder(func(t *testing.T) Options { return withSecrets(t, options(Flux), twoBoards) }, ours),
		"flux-published":   folder(published(Flux), ours),
		"flux-webhooks":    folder(plain(Flux), strangers),
	}
}

// The goldens leave out what chart and secrets have goldens of.
func TestFolderIsAsExpected(t *testing.T) {
	for name, files := range cases(t) {
		t.Run(name, func(t *testing.T) {
			all := files(t)
			got := &txtar.Archive{Comment: []byte("Charts and encrypted Secrets are only listed.\n\n")}
			for _, path := range slices.Sorted(maps.Keys(all)) {
				if strings.HasPrefix(path, "charts/") && !strings.HasSuffix(path, "/Chart.yaml") {
					continue
				}
				if strings.HasPrefix(path, "charts/") || all[path].Private {
					got.Comment = append(got.Comment, path+"\n"...)
					continue
				}
				if strings.Contains(name, "-") && path != "bootstrap.yaml" && path != "releases/homecloud-platform.yaml" {
					continue // as in the golden of the tool alone
				}
				text := string(all[path].Content)
				for _, line := range strings.Split(text, "\n") {
					require.Equal(t, strings.TrimRight(line, " "), line, path)
				}
				require.Regexp(t, `[^\n]\n$`, text, path)
				got.Files = append(got.Files, txtar.File{Name: path, Data: all[path].Content})
			}
			golden := filepath.Join("testdata", name+".txtar")
			if *update {
				require.NoError(t, os.WriteFile(golden, txtar.Format(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(txtar.Format(got)), "run go test ./internal/gitops -update")
		})
	}
}

// write puts the files into an empty folder.
func write(t *testing.T, tool string, files map[string]File) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "home")
	plan, err := Look(dir, tool, files, false)
	require.NoError(t, err)
	require.NoError(t, plan.Write(t.Context()))
	return dir
}

// build does what both tools do with the folder.
func build(t *testing.T, dir string) map[string]*unstructured.Unstructured {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	objects := map[string]*unstructured.Unstructured{}
	for _, resource := range built.Resources() {
		content, err := resource.AsYAML()
		require.NoError(t, err)
		object := &unstructured.Unstructured{}
		require.NoError(t, yaml.UnmarshalStrict(content, &object.Object))
		objects[object.GetKind()+" "+object.GetNamespace()+"/"+object.GetName()] = object
	}
	return objects
}

func TestKustomizeBuildsTheFolder(t *testing.T) {
	for name, want := range map[string][]string{
		"argocd": {"Application argocd/homecloud", "Application argocd/homecloud-platform", "Namespace /homecloud", "Namespace /homecloud-platform"},
		"flux": {"HelmRelease flux-system/homecloud", "HelmRelease flux-system/homecloud-platform", "Namespace /homecloud", "Namespace /homecloud-platform",
			"Secret homecloud/homecloud-dnas-syncthing-node-1", "Secret homecloud/homecloud-dnas-syncthing-node-2",
			"Secret homecloud/homecloud-dnas-syncthing-peers", "Secret homecloud/homecloud-users"},
		"flux-published": {"HelmRelease flux-system/homecloud", "HelmRelease flux-system/homecloud-platform", "Namespace /homecloud", "Namespace /homecloud-platform",
			"OCIRepository flux-system/homecloud", "OCIRepository flux-system/homecloud-platform"},
	} {
		t.Run(name, func(t *testing.T) {
			tool, _, _ := strings.Cut(name, "-")
			objects := build(t, write(t, tool, cases(t)[name](t)))
			require.Equal(t, want, slices.Sorted(maps.Keys(objects)))
		})
	}
}

// valuesOf are a release's values as its tool finds them.
func valuesOf(t *testing.T, object *unstructured.Unstructured) map[string]any {
	t.Helper()
	path := map[string][]string{"Application": {"spec", "source", "helm", "valuesObject"}, "HelmRelease": {"spec", "values"}}[object.GetKind()]
	values, found, err := unstructured.NestedMap(object.Object, path...)
	require.NoError(t, err)
	require.True(t, found, object.GetName())
	return values
}

// difficult are values that YAML and JSON like to misread.
var difficult = map[string]any{"global": map[string]any{"imageRegistry": "registry.home:5000", "difficult": map[string]any{
	"truth": "on", "number": "0123", "exponent": "1e3", "big": 5368709120, "part": 0.5, "nothing": "", "empty": map[string]any{}, "list": []any{},
	"lines": "one\n\n  two: {{ x }}\n", "end": "no newline\nat the end", "date": "2026-01-01", "variable": "${HOME} $$", "tab": "a\tb", "quote": "it's \"so\"",
	"comment": "a # b", "dash": "- a", "unicode": "été 🏠", "yes": true, "null": "null", "colon": "a: b",
}}}

// Both tools install the vendored chart with the values that stand in the
// built folder: that must be what hcchart up installs.
func TestFolderInstallsWhatUpInstalls(t *testing.T) {
	examples, err := filepath.Glob("../../examples/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(examples), 4)
	for _, example := range examples {
		for _, tool := range []string{ArgoCD, Flux} {
			t.Run(tool+" "+filepath.Base(example), func(t *testing.T) {
				hooks := 0
				for _, overlay := range []map[string]any{nil, difficult, {"dnas": map[string]any{"secrets": map[string]any{"ensure": true}}}} {
					wanted := releases(t, example, chart.Embedded(charts.FS), overlay)
					files, err := Files(wanted, options(tool))
					require.NoError(t, err)
					dir := write(t, tool, files)
					objects := build(t, dir)
					installed := 0
					for _, r := range wanted {
						kind := map[string]string{ArgoCD: "Application argocd/", Flux: "HelmRelease flux-system/"}[tool]
						object := objects[kind+r.Name]
						require.Equal(t, r.On, object != nil, r.Name)
						if !r.On {
							continue
						}
						installed++
						vendored, err := chart.Load(filepath.Join(dir, "charts", r.Chart.Name))
						require.NoError(t, err)
						require.Empty(t, vendored.Missing)
						given := chart.RenderOptions{Release: r.Name, Namespace: r.Namespace, Values: r.Values}
						want, err := r.Chart.Render(given)
						require.NoError(t, err)
						given.Values = valuesOf(t, object)
						requireSameJSON(t, r.Values, given.Values)
						got, err := vendored.Render(given)
						require.NoError(t, err)
						require.Equal(t, want.Manifest, got.Manifest)
						require.Equal(t, want.Hooks, got.Hooks)
						requireArgoRunsHooks(t, got.Hooks)
						hooks += len(got.Hooks)
					}
					require.Positive(t, installed)
				}
				require.Positive(t, hooks)
			})
		}
	}
}

func requireSameJSON(t *testing.T, want, got any) {
	t.Helper()
	wantText, err := json.Marshal(want)
	require.NoError(t, err)
	gotText, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, string(wantText), string(gotText))
}

// requireArgoRunsHooks wants only hooks that Argo CD knows, that make room for
// the next synchronisation (it runs those of an installation each time), and
// that need nothing but hooks of an earlier wave.
func requireArgoRunsHooks(t *testing.T, hooks []chart.Hook) {
	t.Helper()
	waves := map[string]int{}
	var jobs []*unstructured.Unstructured
	for _, hook := range hooks {
		object := &unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal([]byte(hook.Manifest), &object.Object))
		for _, event := range hook.Events {
			require.Contains(t, []string{"pre-install", "pre-upgrade", "post-install", "post-upgrade"}, event)
		}
		require.Contains(t, object.GetAnnotations()["helm.sh/hook-delete-policy"], "before-hook-creation", object.GetName())
		wave, err := strconv.Atoi(object.GetAnnotations()["helm.sh/hook-weight"])
		require.NoError(t, err, object.GetName())
		waves[object.GetKind()+" "+object.GetName()] = wave
		if object.GetKind() == "Job" {
			jobs = append(jobs, object)
		}
	}
	for _, job := range jobs {
		for _, needed := range []string{"ServiceAccount ", "Role ", "RoleBinding ", "ConfigMap "} {
			require.Contains(t, waves, needed+job.GetName())
			require.Less(t, waves[needed+job.GetName()], waves["Job "+job.GetName()])
		}
	}
}

// The example in own/ is what a person tries first.
func TestOwnFilesAddAndChangeObjects(t *testing.T) {
	for _, tool := range []string{ArgoCD, Flux} {
		dir := write(t, tool, cases(t)[tool](t))
		example := filepath.Join(dir, "own", "kustomization.yaml")
		text, err := os.ReadFile(example)
		require.NoError(t, err)
		uncommented := strings.ReplaceAll(strings.ReplaceAll(string(text), "\n#", "\n"), "resources: []\n", "")
		uncommented = uncommented[strings.Index(uncommented, "\nresources:"):]
		require.NoError(t, os.WriteFile(example, []byte(uncommented), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "own", "mine.yaml"), []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: mine, namespace: mine}}\n"), 0o644))
		objects := build(t, dir)
		require.Contains(t, objects, "ConfigMap mine/mine")
		changed := 0
		for name, object := range objects {
			if strings.HasSuffix(name, "/homecloud") && object.GetKind() != "Namespace" {
				require.Equal(t, map[string]any{"imageRegistry": "registry.home:5000"}, valuesOf(t, object)["global"])
				changed++
			}
		}
		require.Equal(t, 1, changed)
	}
}

func TestSecretsAreTheOnesOfUpAndNeverInClear(t *testing.T) {
	o := withSecrets(t, options(Flux), twoBoards)
	files, err := Files(releases(t, twoBoards, chart.Embedded(charts.FS), nil), o)
	require.NoError(t, err)
	for _, secret := range o.Secrets {
		file := files["secrets/"+secret.Name+".yaml"]
		require.True(t, file.Private)
		kept := keptByFlux(secret)
		require.Equal(t, secret.Data, kept.Data)
		require.Equal(t, "disabled", kept.Annotations["kustomize.toolkit.fluxcd.io/prune"])
		isBoard := strings.HasPrefix(secret.Name, "homecloud-dnas-syncthing-node-")
		require.Equal(t, isBoard, kept.Annotations["kustomize.toolkit.fluxcd.io/ssa"] == "IfNotPresent", secret.Name)
		require.True(t, secrets.HoldsManifest(file.Content, kept, o.Recipients))
		for _, value := range secret.Data {
			for name, file := range files {
				require.NotContains(t, string(file.Content), string(value), name)
			}
		}
	}
}

// Flux decrypts each object after kustomize built it, by SOPS' own code and
// without its authentication code, whose order kustomize changes.
func TestSOPSDecryptsWhatKustomizeBuilt(t *testing.T) {
	binary, err := filepath.Abs("../../bin/sops")
	require.NoError(t, err)
	if _, err := os.Stat(binary); err != nil {
		require.Empty(t, os.Getenv("HOMECLOUD_REQUIRE_SOPS"), err)
		t.Skip("bin/sops is not built: make bin/sops")
	}
	o := withSecrets(t, options(Flux), twoBoards)
	files, err := Files(releases(t, twoBoards, chart.Embedded(charts.FS), nil), o)
	require.NoError(t, err)
	objects := build(t, write(t, Flux, files))
	for _, secret := range o.Secrets {
		text, err := objects["Secret homecloud/"+secret.Name].MarshalJSON()
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "secret.json")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		plain, err := exec.CommandContext(t.Context(), binary, "decrypt", "--ignore-mac", file).Output()
		require.NoError(t, err)
		var got corev1.Secret
		require.NoError(t, yaml.UnmarshalStrict(plain, &got))
		require.Equal(t, secret.Data, got.Data)
	}
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		tool   string
		change func(*Options)
		want   string
	}{
		"no URL":                    {Flux, func(o *Options) { o.Repository = "cloud" }, `--repo "cloud": write the repository's URL as Flux takes it`},
		"git's short form for Flux": {Flux, func(o *Options) { o.Repository = "git@git.home:alice/cloud.git" }, "ssh://git@git.home/alice/cloud.git"},
		"and for Argo CD":           {ArgoCD, func(o *Options) { o.Repository = "git@git.home:alice/cloud.git" }, ""},
		"ssh":                       {Flux, func(o *Options) { o.Repository = "ssh://git@git.home/alice/cloud.git" }, ""},
		"a password":                {Flux, func(o *Options) { o.Repository = "https://alice:secret@git.home/cloud.git" }, "--repo holds credentials"},
		"a token":                   {ArgoCD, func(o *Options) { o.Repository = "https://token@git.home/cloud.git" }, "--repo holds credentials"},
		"an ssh password":           {ArgoCD, func(o *Options) { o.Repository = "ssh://git:secret@git.home/cloud.git" }, "--repo holds credentials"},
		"outside of the repository": {Flux, func(o *Options) { o.Path = "../home" }, `--path "../home"`},
		"an absolute path":          {Flux, func(o *Options) { o.Path = "/srv" }, `--path "/srv"`},
		"the repository itself":     {Flux, func(o *Options) { o.Path = "" }, ""},
		"no branch":                 {Flux, func(o *Options) { o.Revision = "" }, `--revision ""`},
		"no registry":               {Flux, func(o *Options) { o.Registry = "https://registry.home" }, `--charts "https://registry.home": write oci://`},
		"a registry":                {Flux, func(o *Options) { o.Registry = "oci://registry.home/charts" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(test.tool)
			test.change(&o)
			err := o.Check()
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "secret@")
		})
	}
}

// GITOPS_CRDS names a folder with the CustomResourceDefinitions of Argo CD and
// Flux, from their sources: then every object is checked against them,
// strictly.
func TestObjectsAreValidForTheirDefinitions(t *testing.T) {
	folder := os.Getenv("GITOPS_CRDS")
	if folder == "" {
		t.Skip("needs the CustomResourceDefinitions of Argo CD and of Flux's controllers: put those of their releases into a folder and name it in GITOPS_CRDS")
	}
	schemas, err := kubeschema.Shared()
	require.NoError(t, err)
	found, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	require.NoError(t, err)
	for _, file := range found {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var definition map[string]any
		require.NoError(t, yaml.Unmarshal(text, &definition))
		schemas, err = schemas.With(definition)
		require.NoError(t, err, file)
	}
	for name, files := range cases(t) {
		t.Run(name, func(t *testing.T) {
			checked := 0
			for path, file := range files(t) {
				if file.Private || !strings.HasPrefix(path, "releases/") && path != "bootstrap.yaml" && path != "namespaces.yaml" {
					continue
				}
				for _, document := range chart.SplitManifest(path, string(file.Content)) {
					var object map[string]any
					require.NoError(t, yaml.UnmarshalStrict([]byte(document.Text), &object))
					result, err := schemas.Validate([]byte(document.Text), object, schemas.Versions())
					require.NoError(t, err)
					require.False(t, result.Unknown, fmt.Sprint(path, object["kind"]))
					require.Empty(t, result.Problems, path)
					checked++
				}
			}
			require.GreaterOrEqual(t, checked, 4)
		})
	}
}
