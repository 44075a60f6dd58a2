package main

import (
	_ "github.com/k3d-io/k3d/v5/pkg/client"
	_ "github.com/k3d-io/k3d/v5/pkg/config"
	_ "github.com/k3d-io/k3d/v5/pkg/config/v1alpha5"
	_ "github.com/k3d-io/k3d/v5/pkg/logger"
	_ "github.com/k3d-io/k3d/v5/pkg/runtimes"
	_ "github.com/k3d-io/k3d/v5/version"
	_ "github.com/stretchr/testify/require"
	_ "sigs.k8s.io/yaml"
)

func main() {}
