# homecloud: `make` lists what can be made.

SHELL       := /bin/bash
GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS     := -s -w -X github.com/tmorin/homecloud/internal/version.number=$(VERSION)
TIMES       := dist/times
# The charts that somebody installs.
CHARTS      := platform dnas homecloud
# Dependencies of charts that aren't in our archives of them: they can't be downloaded here.
LEFT_OUT    := longhorn,traefik,kube-prometheus-stack,headlamp,portainer
# Which of the long tests `make test` adds to the core ones: chosen by the commit, so that every one gets its turn.
SHARDS      := sops fuzz bench
SHARD       ?= $(word $(shell expr $$((16#$$(git rev-parse --short=6 HEAD 2>/dev/null || echo 0))) % $(words $(SHARDS)) + 1),$(SHARDS))

export GOTOOLCHAIN = local

# part NAME,COMMAND: run one part of the tests, or a long build, and note how long it took.
define part
@mkdir -p dist; echo "=== $(1)"; start=$$(date +%s); \
 if ( $(2) ); then result=ok; else result=FAILED; fi; \
 echo "$$(( $$(date +%s) - start )) s  $(1)  $$result" | tee -a $(TIMES); [ $$result = ok ]
endef

.DEFAULT_GOAL := help

##@ Use

.PHONY: up
up: deps bin/cloud ## A two-board cloud on this machine: cluster, images, charts (needs root; safe to run again; CLOUD=name makes another one)
	bin/cloud up

.PHONY: down
down: bin/cloud ## Take the cloud of `make up` away, leaving nothing
	bin/cloud down

.PHONY: status
status: bin/cloud bin/lab bin/hcchart ## What runs in the cloud of `make up`
	bin/cloud status

##@ Test

.PHONY: test
test: deps test-begin lint test-quick test-daemons test-charts test-lab test-images test-e2e shard ## What CI runs: everything quick, the charts, the lab, the scenarios, one shard of the long ones
	@echo; echo "Slowest first:"; sort -rn $(TIMES)

.PHONY: test-begin
test-begin:
	@mkdir -p dist; : > $(TIMES)

.PHONY: test-quick
test-quick: ## Unit tests and command scripts: no root, no cluster
	$(call part,unit tests and command scripts,$(GO) test -short ./... && $(GO) test -C test/lab -short ./... && $(GO) test -C test ./cloud/... ./cmd/... && $(GO) test -C test/e2e/k3d ./...)

.PHONY: test-daemons
test-daemons: bin/lab bin/syncthing bin/sshd images ## Our code beside the real daemons that it starts, configures and asks (root)
	$(call part,code beside real daemons,GO=$(GO) ./test/daemons.sh)

.PHONY: test-charts
test-charts: bin/helm3 bin/helm4 bin/hcchart ## Charts against the real Helm 3 and Helm 4
	$(call part,chart contract,$(GO) test -C test -count=1 ./chart/...)

.PHONY: test-lab
test-lab: ## The offline cluster itself (root)
	$(call part,lab,$(GO) test -C test/lab -count=1 -timeout 20m ./...)

.PHONY: test-lab-v2
test-lab-v2: ## The same on cgroup version 2, in a slow virtual machine (root, no KVM needed); no part of `make test`
	$(call part,lab on cgroup v2,./test/lab/cgroup2.sh)

.PHONY: test-images
test-images: ## Each image, built and its programs run (root)
	$(call part,images,$(GO) test -count=1 -timeout 20m ./images)

.PHONY: test-e2e
test-e2e: build $(if $(filter k3d,$(DRIVER)),bin/k3d-driver) bin/lab bin/helm3 bin/helm4 bin/syncthing images ## Scenarios with real clients on a real cluster (root); DRIVER=lab|kind|k3d|existing
	$(call part,scenarios,$(GO) test -C test -count=1 -timeout 30m -v -run 'TestCore' ./e2e/)

.PHONY: shard
shard: shard-$(SHARD)

.PHONY: shard-sops
shard-sops: bin/sops ## The secrets file beside the real sops
	$(call part,shard sops,HOMECLOUD_REQUIRE_SOPS=1 $(GO) test -count=1 -run 'SOPS|Proved' ./internal/secrets ./internal/gitops)

.PHONY: shard-fuzz
shard-fuzz: ## Every fuzz target for a while (FUZZTIME)
	$(call part,shard fuzz,./test/fuzz.sh $(FUZZTIME))
FUZZTIME ?= 30s

.PHONY: shard-bench
shard-bench: bench

.PHONY: test-all
test-all: deps test-begin lint test-quick test-daemons test-charts test-lab test-images test-e2e $(SHARDS:%=shard-%) ## Everything
	@echo; echo "Slowest first:"; sort -rn $(TIMES)

.PHONY: bench
bench: build bin/lab images ## Figures: lab start, memory per component, SMB put to NFS read beside bare daemons
	$(call part,bench,$(GO) test -C test -count=1 -timeout 30m -v -run '^$$' -bench Cloud -benchtime 1x ./bench/)

.PHONY: bench-toolkit
bench-toolkit: bin/hcchart bin/helm3 bin/kubeconform bin/kube-score bin/helm-unittest ## Figures: `hcchart check` and charttest beside the tools that do the same (downloads them)
	$(call part,bench toolkit,$(GO) test -C test -count=1 -timeout 30m -run '^$$' -bench Toolkit -benchtime 1x ./bench/)

##@ Build

.PHONY: build
build: bin/hcchart bin/homecloud-agent ## The binaries, in bin/

# Go's own cache decides what is stale, not make.
.PHONY: bin/hcchart bin/homecloud-agent
bin/hcchart bin/homecloud-agent: bin/%:
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/$*

.PHONY: bin/lab
bin/lab:
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -C test/lab -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ .

# Not by `go run`, which makes 1 of every exit code.
.PHONY: bin/cloud
bin/cloud:
	@mkdir -p bin
	$(GO) build -C test -o $(CURDIR)/$@ ./cmd/cloud

# The scenarios' phone: the same Syncthing as the boards'.
SYNCTHING_TAGS := noassets,noupgrade
bin/syncthing: images/syncthing/go.sum
	$(call part,build $(@F),CGO_ENABLED=0 $(GO) build -C images/syncthing -trimpath -tags $(SYNCTHING_TAGS) -o $(CURDIR)/$@ github.com/syncthing/syncthing/cmd/syncthing)

# OpenSSH's server for tests, out of Debian's package: an installed one would listen at once.
bin/sshd:
	@mkdir -p bin; work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && cd "$$work" && download='apt-get download -q -q -o APT::Sandbox::User=root openssh-server' \
	 && { $$download || { apt-get update -q -q && $$download; }; } && cd - >/dev/null \
	 && dpkg-deb --fsys-tarfile "$$work"/openssh-server_*.deb | tar -xO ./usr/sbin/sshd >$@.partial && chmod 755 $@.partial && mv $@.partial $@

# k3d is a module of its own: what it links doesn't agree with what Helm links.
.PHONY: bin/k3d-driver
bin/k3d-driver:
	@mkdir -p bin
	$(GO) build -C test/e2e/k3d -trimpath -o $(CURDIR)/$@ .

bin/sops: tools/sops/go.sum
	$(call part,build $(@F),$(GO) build -C tools/sops -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ github.com/getsops/sops/v3/cmd/sops)

# Without these flags a Helm 3 built from its module believes in Kubernetes 1.20.
KUBE_MINOR   := 34
HELM3_FLAGS  := -s -w -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=$(KUBE_MINOR)
bin/helm3: tools/helm/go.sum
	$(call part,build $(@F),$(GO) build -C tools/helm -trimpath -ldflags '$(HELM3_FLAGS)' -o $(CURDIR)/$@ helm.sh/helm/v3/cmd/helm)
bin/helm4: tools/helm/go.sum
	$(call part,build $(@F),$(GO) build -C tools/helm -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ helm.sh/helm/v4/cmd/helm)
bin/kubeconform: tools/peers/go.sum
	$(call part,build $(@F),$(GO) build -C tools/peers -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ github.com/yannh/kubeconform/cmd/kubeconform)
bin/kube-score: tools/peers/go.sum
	$(call part,build $(@F),$(GO) build -C tools/peers -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ github.com/zegl/kube-score/cmd/kube-score)
bin/helm-unittest: tools/unittest/go.sum
	$(call part,build $(@F),$(GO) build -C tools/unittest -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ github.com/helm-unittest/helm-unittest/cmd/helm-unittest)
bin/golangci-lint: tools/lint/go.sum
	$(call part,build $(@F),$(GO) build -C tools/lint -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

.PHONY: images
images: ## Container images as archives, in dist/images (root)
	$(GO) run ./images build

.PHONY: dist
dist: build images ## What a machine without internet needs, in dist: the charts, and our own images for this machine's architecture (root)
	bin/hcchart package --out dist/charts --without $(LEFT_OUT)
	$(GO) run ./images archive

.PHONY: release
release: ## Rehearse a release, offline: all that would be published in dist/release, built twice and compared (root; RELEASE_FLAGS=--without-images without)
	$(call part,release,$(GO) run ./release --without $(LEFT_OUT) $(RELEASE_FLAGS))

.PHONY: kube-schemas
kube-schemas: ## Extract Kubernetes' schemas anew, from the releases that the tool names (downloads them)
	$(GO) run ./internal/kubeschema/extract internal/kubeschema/kubernetes.json.gz

.PHONY: docs
docs: bin/hcchart ## Regenerate what is generated: schema, image references, chart and command references
	$(GO) generate ./...
	$(GO) run ./images generate
	bin/hcchart docs --write $(addprefix charts/,$(CHARTS))

.PHONY: lint
lint: bin/golangci-lint ## Linters, formatting, generated files up to date, hcchart for Windows
	$(call part,lint,bin/golangci-lint run && (cd test && ../bin/golangci-lint run) && (cd test/lab && ../../bin/golangci-lint run) && (cd test/e2e/k3d && ../../../bin/golangci-lint run) && $(GO) run ./images generate --check && GOOS=windows $(GO) vet ./cmd/hcchart)

# What `make up` and the tests need of Debian beside Go. Installed only when something is missing, and said so.
PACKAGES := buildah ca-certificates conntrack containerd containernetworking-plugins btrfs-progs e2fsprogs ethtool ipset \
            iproute2 iptables kmod libnfs-utils libwrap0 mmdebstrap nftables procps runc smbclient util-linux
.PHONY: deps
deps:
	@missing=$$(dpkg-query -W -f '$${db:Status-Status} $${binary:Package}\n' $(PACKAGES) 2>/dev/null | awk '$$1 == "installed" { sub(/:.*/, "", $$2); print $$2 }' \
	  | sort | comm -13 - <(printf '%s\n' $(PACKAGES) | sort)); \
	[ -z "$$missing" ] || { echo "Installing from Debian:" $$missing; \
	  [ $$(id -u) = 0 ] || { echo "run this as root: apt-get install --no-install-recommends" $$missing >&2; exit 1; }; \
	  apt-get update -q -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -q -y --no-install-recommends $$missing; }

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9\/-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
