package chart

import (
	"slices"

	"helm.sh/helm/v3/pkg/chartutil"
)

// Asked is what templates wanted to know of the cluster.
type Asked struct {
	Version bool     // its version: another one may give something else
	APIs    []string // what they asked for and isn't offered, such as monitoring.coreos.com/v1
}

// cluster is .Capabilities as Helm gives it, and notes what is asked.
type cluster struct {
	*chartutil.Capabilities
	asked *Asked
}

// KubeVersion hides Helm's field of that name.
func (c *cluster) KubeVersion() *chartutil.KubeVersion {
	c.asked.Version = true
	return &c.Capabilities.KubeVersion
}

// APIVersions hides Helm's field of that name.
func (c *cluster) APIVersions() offeredAPIs {
	list := make(offeredAPIs, 0, len(c.Capabilities.APIVersions)+1)
	for _, api := range c.Capabilities.APIVersions {
		list = append(list, api)
	}
	return append(list, c.asked)[:len(list)]
}

// offeredAPIs is a list, because templates also range over it. Who notes what is
// asked lies behind its end, where no template looks.
type offeredAPIs []any

// Has says whether an API is offered.
func (o offeredAPIs) Has(api string) bool {
	if slices.Contains(o, any(api)) {
		return true
	}
	if cap(o) > len(o) {
		if asked, is := o[:len(o)+1][len(o)].(*Asked); is && !slices.Contains(asked.APIs, api) {
			asked.APIs = append(asked.APIs, api)
		}
	}
	return false
}
