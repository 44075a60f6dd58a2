module github.com/tmorin/homecloud/test/e2e/k3d

go 1.26.0

require github.com/k3d-io/k3d/v5 v5.9.0

exclude github.com/docker/cli v29.2.0+incompatible
