package kube

import (
	"context"
	"fmt"

	"k8s.io/client-go/openapi"
)

// OpenAPI asks for the OpenAPI v3 documents of every group and version that the
// cluster serves, by path.
func (c *Cluster) OpenAPI(ctx context.Context) (map[string][]byte, error) {
	paths, err := openapi.NewClientWithContext(c.Client.CoreV1().RESTClient()).PathsWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("the cluster's schemas: %w", err)
	}
	documents := map[string][]byte{}
	for path, document := range paths {
		if documents[path], err = document.SchemaWithContext(ctx, "application/json"); err != nil {
			return nil, fmt.Errorf("the cluster's schemas: %s: %w", path, err)
		}
	}
	return documents, nil
}
