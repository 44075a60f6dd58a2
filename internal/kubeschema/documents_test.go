package kubeschema_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/openapi/openapitest"

	"github.com/tmorin/homecloud/internal/kubeschema"
)

// published are some documents of Kubernetes' own.
func published(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := openapitest.NewEmbeddedFileClient().Paths()
	require.NoError(t, err)
	documents := map[string][]byte{}
	for path, document := range paths {
		documents[path], err = document.Schema("application/json")
		require.NoError(t, err)
	}
	return documents
}

func TestKindsOfDocuments(t *testing.T) {
	documents := published(t)
	documents["apis/example.com/v1beta1"] = []byte(`{
		"paths": {"/apis/example.com/v1beta1/namespaces/{namespace}/gadgets": {"post": {
			"x-kubernetes-action": "post",
			"x-kubernetes-group-version-kind": {"group": "example.com", "version": "v1beta1", "kind": "Gadget"}}}},
		"components": {"schemas": {"com.example.v1beta1.Gadget": {
			"type": "object",
			"required": ["spec"],
			"x-kubernetes-group-version-kind": [{"group": "example.com", "version": "v1beta1", "kind": "Gadget"}],
			"properties": {
				"apiVersion": {"type": "string"}, "kind": {"type": "string"},
				"metadata": {"allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]},
				"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}}`)
	s, err := kubeschema.FromDocuments("1.33", documents)
	require.NoError(t, err)
	require.Equal(t, []string{"1.33"}, s.Versions())
	require.True(t, s.IsCustom("example.com/v1beta1", "Gadget"))

	requireProblems(t, s, "testdata/documents.yaml")
}

func TestDocumentsThatSayNothing(t *testing.T) {
	_, err := kubeschema.FromDocuments("1.34", nil)
	require.EqualError(t, err, "no OpenAPI document in there describes a kind that can be created")
	_, err = kubeschema.FromDocuments("1.34", map[string][]byte{"x.json": []byte("[]")})
	require.ErrorContains(t, err, "x.json: OpenAPI document: ")
	_, err = kubeschema.FromDocuments("", published(t))
	require.EqualError(t, err, "the OpenAPI documents don't say which version of Kubernetes they describe")

	documents := published(t)
	documents["a"] = []byte(`{"info": {"version": "v1.35.4+k3s1"}}`)
	s, err := kubeschema.FromDocuments("", documents)
	require.NoError(t, err)
	require.Equal(t, []string{"1.35"}, s.Versions())
}
