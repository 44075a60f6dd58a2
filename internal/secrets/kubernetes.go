package secrets

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tmorin/homecloud/internal/config"
)

// Keys of the Kubernetes Secrets.
const (
	keyCertificate = "cert.pem"
	keyPrivate     = "key.pem"
	keyAPI         = "apiKey"
)

// FieldManager owns the Secrets' fields on the API server.
const FieldManager = "hcchart"

// Kubernetes computes the Secrets of a release: the passwords of its users, an
// identity per node of the NAS, and what the nodes know of each other. It fails
// when one is missing; Ensure makes it.
func Kubernetes(file *File, cluster *config.Cluster, release, namespace string) ([]*corev1.Secret, error) {
	var problems []error
	value := func(name string) []byte {
		text, err := file.Get(name)
		problems = append(problems, err)
		return []byte(text)
	}

	users := newSecret(config.UsersSecret(release), cluster.Name, release, namespace)
	for _, user := range cluster.Users {
		users.Data[user.Name] = value(config.SecretUser(user.Name))
	}
	secrets := []*corev1.Secret{users}

	if len(cluster.DNAS.Nodes) > 0 {
		peers := newSecret(config.PeersSecret(release), cluster.Name, release, namespace)
		peers.Data[keyAPI] = value(config.SecretAPIKey)
		secrets = append(secrets, peers)
		for _, node := range cluster.DNAS.Nodes {
			id, err := file.Identity(node)
			if err != nil {
				problems = append(problems, err)
				continue
			}
			peers.Data[node] = []byte(id)
			identity := newSecret(config.SyncthingSecret(release, node), cluster.Name, release, namespace)
			identity.Data[keyCertificate] = value(config.SecretCertificate(node))
			identity.Data[keyPrivate] = value(config.SecretKey(node))
			secrets = append(secrets, identity)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return secrets, nil
}

// KubernetesNames lists the Secrets that Kubernetes computes, by name.
func KubernetesNames(cluster *config.Cluster, release string) []string {
	names := []string{config.UsersSecret(release)}
	if len(cluster.DNAS.Nodes) > 0 {
		names = append(names, config.PeersSecret(release))
	}
	for _, node := range cluster.DNAS.Nodes {
		names = append(names, config.SyncthingSecret(release, node))
	}
	return names
}

// IsIdentity tells whether a Secret is what makes a board the device that its
// peers know: a live one must never be replaced by another.
func IsIdentity(secret *corev1.Secret) bool {
	_, is := secret.Data[keyCertificate]
	return is
}

// CloudAnnotation is on Secrets and says which cloud they belong to.
const CloudAnnotation = "homecloud/cloud"

// ErrOtherCloud wraps the refusal to touch, or to take, what belongs to another
// cloud than the cluster file's.
var ErrOtherCloud = errors.New("use that cloud's file, or another cluster")

// checkCloud refuses a live Secret of another cloud; one without the annotation
// was made by the chart's own Job, or by hand.
func checkCloud(live metav1.ObjectMeta, cloud string) error {
	if other := live.Annotations[CloudAnnotation]; other != "" && other != cloud {
		return fmt.Errorf("the Secret %s/%s belongs to the cloud %s, the file is that of %s: %w", live.Namespace, live.Name, other, cloud, ErrOtherCloud)
	}
	return nil
}

func newSecret(name, cloud, release, namespace string) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Namespace:   namespace,
			Annotations: map[string]string{CloudAnnotation: cloud},
			Labels: map[string]string{
				"app.kubernetes.io/instance":   release,
				"app.kubernetes.io/managed-by": FieldManager,
				"app.kubernetes.io/part-of":    "homecloud",
			},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{},
	}
}
