package imageset

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/chart"
)

// AddObjects takes every image that rendered objects name: containers of any
// kind wherever a pod's template may be, images mounted as volumes, and the
// field image of kinds that aren't Kubernetes' own, which operators read.
func (s *Set) AddObjects(documents []chart.Document) error {
	var errs []error
	for _, d := range documents {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(d.Text), &object); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.Source, err))
			continue
		}
		errs = append(errs, s.addObject(d.Source, object))
	}
	return errors.Join(errs...)
}

func (s *Set) addObject(source string, object map[string]any) error {
	kind, _ := object["kind"].(string)
	if items, isList := object["items"].([]any); isList && strings.HasSuffix(kind, "List") {
		var errs []error
		for _, item := range items {
			if value, is := item.(map[string]any); is {
				errs = append(errs, s.addObject(source, value))
			}
		}
		return errors.Join(errs...)
	}
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	w := walker{set: s, component: Component{Object: strings.TrimSpace(kind + " " + name), Source: source}}
	w.walk(object, "")
	if spec, _ := object["spec"].(map[string]any); isForeign(object["apiVersion"]) {
		if image, _ := spec["image"].(string); strings.ContainsAny(image, ":@") {
			w.add(image, "spec.image")
		}
	}
	return errors.Join(w.errs...)
}

// isForeign says whether a kind is somebody's own: its group has a dot and
// isn't Kubernetes'.
func isForeign(apiVersion any) bool {
	text, _ := apiVersion.(string)
	group, _, _ := strings.Cut(text, "/")
	return strings.Contains(group, ".") && !strings.HasSuffix(group, ".k8s.io")
}

type walker struct {
	set       *Set
	component Component
	errs      []error
}

func (w *walker) add(image, container string) {
	component := w.component
	component.Container = container
	if err := w.set.Add(image, component); err != nil {
		w.errs = append(w.errs, err)
	}
}

// pulled notes a container that asks the registry at every start: Kubernetes'
// own rule is to do so for the tag latest.
func (w *walker) pulled(image string, policy any) {
	name, err := Normalise(image)
	if err != nil {
		return // add said it
	}
	if policy == "Always" || policy == nil && strings.HasSuffix(name, ":latest") {
		w.set.images[name].AlwaysPulled = true
	}
}

// walk looks below every value: a pod's template has no fixed place in kinds
// that only their operator knows.
func (w *walker) walk(value any, key string) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			w.walk(value[key], key)
		}
	case []any:
		for _, item := range value {
			entry, is := item.(map[string]any)
			if is {
				switch key {
				case "containers", "initContainers", "ephemeralContainers":
					if image, _ := entry["image"].(string); image != "" {
						name, _ := entry["name"].(string)
						w.add(image, name)
						w.pulled(image, entry["imagePullPolicy"])
					}
				case "volumes":
					mounted, _ := entry["image"].(map[string]any)
					if image, _ := mounted["reference"].(string); image != "" {
						name, _ := entry["name"].(string)
						w.add(image, "volume "+name)
					}
				}
			}
			w.walk(item, key)
		}
	}
}

// RuntimeImages is the annotation of Chart.yaml that lists images, those that
// an operator pulls by itself among them. It is Artifact Hub's.
const RuntimeImages = "artifacthub.io/images"

// AddAnnotated takes the images that charts list in their Chart.yaml.
func (s *Set) AddAnnotated(annotations []chart.Annotation) error {
	var errs []error
	for _, a := range annotations {
		var listed []struct {
			Name      string   `json:"name"`
			Image     string   `json:"image"`
			Platforms []string `json:"platforms"`
		}
		if err := yaml.Unmarshal([]byte(a.Text), &listed); err != nil {
			errs = append(errs, fmt.Errorf("chart %s: the annotation %s is no list of name and image: %w", a.Chart, RuntimeImages, err))
			continue
		}
		for _, entry := range listed {
			if err := s.Add(entry.Image, Component{Object: "chart " + a.Chart, Container: entry.Name}); err != nil {
				errs = append(errs, err)
				continue
			}
			name, _ := Normalise(entry.Image) // Add did it
			for _, platform := range entry.Platforms {
				_, architecture, _ := strings.Cut(platform, "/") // linux/arm64, linux/arm/v7
				architecture, _, _ = strings.Cut(architecture, "/")
				if architecture != "" && !slices.Contains(s.images[name].Architectures, architecture) {
					s.images[name].Architectures = append(s.images[name].Architectures, architecture)
				}
			}
		}
	}
	return errors.Join(errs...)
}

// AddValues takes every image that a chart's values name, switched on or not: a
// map of a repository with a tag or a digest, as charts write them. Where both
// are empty the tag is the version of what the chart runs.
func (s *Set) AddValues(values map[string]any, chart, appVersion string) error {
	repository, _ := values["repository"].(string)
	_, tagged := values["tag"]
	_, digested := values["digest"]
	var errs []error
	if repository != "" && (tagged || digested) {
		if registry, _ := values["registry"].(string); registry != "" {
			repository = registry + "/" + repository
		}
		digest, _ := values["digest"].(string)
		tag := cmp.Or(text(values["tag"]), appVersion)
		switch {
		case digest != "":
			repository += "@" + digest
		case tag != "":
			repository += ":" + tag
		}
		errs = append(errs, s.Add(repository, Component{Object: "chart " + chart, Container: "values"}))
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if below, is := values[key].(map[string]any); is {
			errs = append(errs, s.AddValues(below, chart, appVersion))
		}
	}
	return errors.Join(errs...)
}

// text is a tag as somebody wrote it, maybe as a number.
func text(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// suspicious is a word that looks like an image with a version, maybe behind
// an option's name.
var suspicious = regexp.MustCompile(`^(?:-{0,2}[A-Za-z0-9._-]+=)?([a-z0-9][a-z0-9.-]*(?::[0-9]+)?(?:/[a-z0-9][a-z0-9._-]*)+(?::v?[0-9]+\.[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64}))$`)

// Suspects are words in objects, arguments and environment variables of
// containers mostly, that look like images and were not added: an operator may
// pull them. Each is followed by where it stands.
func (s *Set) Suspects(documents []chart.Document) []string {
	found := map[string]bool{}
	for _, d := range documents {
		var object any
		if yaml.Unmarshal([]byte(d.Text), &object) == nil {
			s.suspect(object, d.Source, found)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (s *Set) suspect(value any, source string, found map[string]bool) {
	switch value := value.(type) {
	case map[string]any:
		for _, below := range value {
			s.suspect(below, source, found)
		}
	case []any:
		for _, below := range value {
			s.suspect(below, source, found)
		}
	case string:
		match := suspicious.FindStringSubmatch(value)
		if match == nil {
			return
		}
		if name, err := Normalise(match[1]); err == nil && s.images[name] == nil {
			found[match[1]+" ("+source+")"] = true
		}
	}
}
