package kubeschema

// Extract is what package kubeschema carries: the structure of Kubernetes' own
// kinds in several versions, each form of a schema once.
type Extract struct {
	Versions    []string // such as 1.34, oldest first
	Kinds       map[string][]Kind
	Definitions map[string][]Definition // by name, such as io.k8s.api.core.v1.Pod
}

// Kind is something that can be created.
type Kind struct {
	Schema     string // name of its definition
	Namespaced bool
	Versions   uint // one bit for each of Extract.Versions
}

// Definition is one form of a schema.
type Definition struct {
	Versions uint // one bit for each of Extract.Versions
	Schema   map[string]any
}

// Key is how Extract calls a kind.
func Key(apiVersion, kind string) string { return apiVersion + " " + kind }
