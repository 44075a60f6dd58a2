package deviceidentity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/deviceidentity"
)

func TestIdentityIsWhatSyncthingExpectsOfADevice(t *testing.T) {
	certPEM, keyPEM, err := deviceidentity.New()
	require.NoError(t, err)

	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err, "certificate and key must belong together")
	require.Equal(t, "syncthing", pair.Leaf.Subject.CommonName)
	require.NoError(t, pair.Leaf.CheckSignature(pair.Leaf.SignatureAlgorithm, pair.Leaf.RawTBSCertificate, pair.Leaf.Signature))
	key, isECDSA := pair.Leaf.PublicKey.(*ecdsa.PublicKey)
	require.True(t, isECDSA)
	require.Equal(t, elliptic.P384(), key.Curve)
	require.False(t, pair.Leaf.NotBefore.After(time.Now()))
	require.True(t, pair.Leaf.NotAfter.After(time.Now().AddDate(19, 0, 0)))
}

func TestTwoIdentitiesAreTwoDevices(t *testing.T) {
	first, _, err := deviceidentity.New()
	require.NoError(t, err)
	second, _, err := deviceidentity.New()
	require.NoError(t, err)
	require.NotEqual(t, first, second)
}
