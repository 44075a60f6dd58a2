package clustersecrets

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Client reads and writes Secrets of one namespace. It is all of the
// Kubernetes API that the agent needs: a program with client-go's clientset
// and nothing else has 26.6 MB, the whole agent 8.4 (measured).
type Client struct {
	HTTP      *http.Client
	Server    string // https://host:port
	Namespace string
	Token     func() (string, error) // a bearer token; empty: none
}

// serviceAccount is where every pod with a service account finds its token.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// InCluster makes a client with the pod's own service account.
func InCluster(namespace string) (*Client, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("secrets: this isn't a pod: KUBERNETES_SERVICE_HOST isn't set")
	}
	authority, err := os.ReadFile(filepath.Join(serviceAccount, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("secrets: %s/ca.crt holds no certificate", serviceAccount)
	}
	return &Client{
		HTTP: &http.Client{
			Timeout:   30 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
		},
		Server:    "https://" + net.JoinHostPort(host, port),
		Namespace: namespace,
		Token: func() (string, error) {
			// Read each time: the kubelet renews it.
			token, err := os.ReadFile(filepath.Join(serviceAccount, "token"))
			return strings.TrimSpace(string(token)), err
		},
	}, nil
}

// Secret is as much of a Kubernetes Secret as is used here.
type Secret struct {
	APIVersion string            `json:"apiVersion,omitempty"`
	Kind       string            `json:"kind,omitempty"`
	Metadata   Metadata          `json:"metadata"`
	Type       string            `json:"type,omitempty"`
	Data       map[string][]byte `json:"data,omitempty"`
}

// Metadata is as much of an object's metadata as is used here.
type Metadata struct {
	Name            string            `json:"name,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
}

// errConflict: somebody else was faster; what is there now has to be looked
// at again.
var errConflict = errors.New("somebody else changed it meanwhile")

// get returns nil when there is no such Secret.
func (c *Client) get(ctx context.Context, name string) (*Secret, error) {
	var secret Secret
	status, err := c.do(ctx, http.MethodGet, name, "", nil, &secret)
	if status == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &secret, nil
}

func (c *Client) create(ctx context.Context, secret Secret) error {
	secret.APIVersion, secret.Kind, secret.Type = "v1", "Secret", "Opaque"
	status, err := c.do(ctx, http.MethodPost, "", "application/json", secret, nil)
	if status == http.StatusConflict {
		return errConflict
	}
	return err
}

// add puts keys into a Secret that has not changed since it was read.
func (c *Client) add(ctx context.Context, to *Secret, data map[string][]byte) error {
	patch := Secret{Metadata: Metadata{ResourceVersion: to.Metadata.ResourceVersion}, Data: data}
	status, err := c.do(ctx, http.MethodPatch, to.Metadata.Name, "application/merge-patch+json", patch, nil)
	if status == http.StatusConflict {
		return errConflict
	}
	return err
}

func (c *Client) do(ctx context.Context, method, name, contentType string, body, answer any) (status int, err error) {
	what := strings.ToLower(method) + " Secret " + name
	if secret, ok := body.(Secret); ok && name == "" {
		what = "create Secret " + secret.Metadata.Name
	}
	address := c.Server + "/api/v1/namespaces/" + url.PathEscape(c.Namespace) + "/secrets"
	if name != "" {
		address += "/" + url.PathEscape(name)
	}
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, fmt.Errorf("secrets: %s: %w", what, err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return 0, fmt.Errorf("secrets: %s: %w", what, err)
	}
	token, err := c.Token()
	if err != nil {
		return 0, fmt.Errorf("secrets: %w", err)
	}
	if token != "" { // otherwise HTTP shows a client certificate
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("Accept", "application/json")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return 0, fmt.Errorf("secrets: %s: %w", what, err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		var reason struct{ Message string }
		_ = json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&reason)
		return response.StatusCode, fmt.Errorf("secrets: %s: %s: %s", what, response.Status, reason.Message)
	}
	if answer == nil {
		return response.StatusCode, nil
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return response.StatusCode, fmt.Errorf("secrets: %s: %w", what, err)
	}
	return response.StatusCode, nil
}
