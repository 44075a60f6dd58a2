//go:build deps

// Package deps pins what the tests are going to import. It goes away when every import is real.
package deps

import (
	_ "github.com/gruntwork-io/terratest/modules/helm"
	_ "github.com/gruntwork-io/terratest/modules/k8s"
	_ "github.com/stretchr/testify/require"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "k8s.io/client-go/kubernetes"
	_ "sigs.k8s.io/kind/pkg/cluster"
	_ "sigs.k8s.io/yaml"
)
