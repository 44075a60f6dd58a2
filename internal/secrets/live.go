package secrets

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/deviceidentity"
)

// ErrNotAsked wraps whatever kept a cluster from answering.
var ErrNotAsked = errors.New("the cluster cannot be asked for the secrets it holds")

// Live is a release in a running cluster.
type Live struct {
	Client             typedcorev1.SecretsGetter
	Release, Namespace string

	cloud string // whose Secrets they must be
}

// Values reads which of the cluster's secrets the release already has, by the
// names of the secrets file. It refuses another cloud, and a node whose device its peers know and
// whose key is gone: only a person can decide to make a new device.
func (l Live) Values(ctx context.Context, cluster *config.Cluster) (map[string]string, error) {
	l.cloud = cluster.Name
	values := map[string]string{}
	users, err := l.secret(ctx, config.UsersSecret(l.Release))
	if err != nil {
		return nil, err
	}
	for _, user := range cluster.Users {
		put(values, config.SecretUser(user.Name), users[user.Name])
	}
	peers, err := l.secret(ctx, config.PeersSecret(l.Release))
	if err != nil {
		return nil, err
	}
	put(values, config.SecretAPIKey, peers[keyAPI])

	var problems []error
	for _, node := range cluster.DNAS.Nodes {
		name := config.SyncthingSecret(l.Release, node)
		identity, err := l.secret(ctx, name)
		if err != nil {
			return nil, err
		}
		known := config.DeviceID(peers[node])
		if len(identity) == 0 {
			if known != "" {
				problems = append(problems, fmt.Errorf(
					"the cluster knows node %s as device %s, but Secret %s with its key is gone; restore it, or give the device up on purpose: take %s out of Secret %s",
					node, known.Short(), name, node, config.PeersSecret(l.Release)))
			}
			continue
		}
		id, err := deviceidentity.DeviceOf(identity[keyCertificate], identity[keyPrivate])
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("the cluster's Secret %s: %w; repair it, or delete it if the node never ran", name, err))
		case known != "" && known != id:
			problems = append(problems, fmt.Errorf("the cluster's Secret %s is device %s, but Secret %s says %s; find out which one runs and correct the other",
				name, id.Short(), config.PeersSecret(l.Release), known.Short()))
		}
		put(values, config.SecretCertificate(node), identity[keyCertificate])
		put(values, config.SecretKey(node), identity[keyPrivate])
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return values, nil
}

// secret reads a Secret's data; nil when there is none.
func (l Live) secret(ctx context.Context, name string) (map[string][]byte, error) {
	secret, err := l.Client.Secrets(l.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: read Secret %s/%s: %w", ErrNotAsked, l.Namespace, name, err)
	}
	if err := checkCloud(secret.ObjectMeta, l.cloud); err != nil {
		return nil, err
	}
	return secret.Data, nil
}

func put(values map[string]string, name string, value []byte) {
	if len(value) > 0 {
		values[name] = string(value)
	}
}
