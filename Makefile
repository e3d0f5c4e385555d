# What people do here, one command each. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Building images and running them needs root.
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo env "PATH=$$PATH" "MIRROR=$${MIRROR:-}")
# Not `go run`: a SIGTERM would end that alone, and the build would go on.
BUILDER := go build -buildvcs=false -o out/bin/images ./tools/images && exec $(SUDO) out/bin/images

# What `make images` and `make test-images` use besides Go, on Debian and Ubuntu. Docker's own packages
# bring a runc, and conflict with the distribution's.
IMAGE_PACKAGES := buildah debian-archive-keyring gpg libdistro-info-perl mmdebstrap mount skopeo
TEST_PACKAGES := iproute2 $(if $(shell command -v runc),,runc)
# What the node of `make up` takes from the distribution, and the clients of `make e2e`.
NODE_PACKAGES := $(if $(shell command -v containerd),,containerd) containernetworking-plugins conntrack etcd-server iptables mount nftables util-linux
# Ubuntu has no package of a browser: there it is Chrome, installed by hand.
CLIENT_PACKAGES := curl lftp $(if $(shell command -v chromium google-chrome chromium-browser; grep -x ID=ubuntu /etc/os-release),,chromium)

# Which cluster: local, minikube, or auto, which is minikube where that is installed.
PROVIDER ?= auto
BUILD_CLUSTER := go build -buildvcs=false -o out/bin/cluster ./tools/cluster

# What must be there for `make up`. minikube brings its own node, and does not want root.
NEEDED := buildah mmdebstrap runc skopeo /usr/share/keyrings/debian-archive-keyring.gpg
ifeq ($(or $(filter minikube,$(PROVIDER)),$(if $(filter auto,$(PROVIDER)),$(shell command -v minikube))),)
NEEDED += containerd conntrack etcd ip iptables nft /usr/lib/cni/bridge
CLUSTER_SUDO := $(SUDO)
endif
CLUSTER := $(BUILD_CLUSTER) && exec $(CLUSTER_SUDO) out/bin/cluster --provider=$(PROVIDER)
# Installs the packages if one of the arguments, programs and files, is not there.
NEED = @for needed in $(1); do PATH="$$PATH:/usr/sbin:/sbin" command -v "$$needed" >/dev/null || [ -e "$$needed" ] || { $(MAKE) deps; break; }; done

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9%-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## install the Debian packages that the other commands need
	$(SUDO) apt-get update --quiet
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends \
	  $(IMAGE_PACKAGES) $(TEST_PACKAGES) $(NODE_PACKAGES) $(CLIENT_PACKAGES)

.PHONY: up
up: ## one command, the running stack: install what is missing, build, boot, deploy, wait (PROVIDER=local)
	$(call NEED,$(NEEDED))
	$(BUILDER) build
	$(CLUSTER) up

.PHONY: test
test: ## everything that needs no image and no cluster
	go vet ./...
	go test -timeout 20m ./...
	cd tools/cluster/addons && go vet ./... && go test ./...
	cd tools/e2e && go vet ./... && go test ./internal/... && go test -run TestEveryRequirementIsProven .
	go run ./tools/validate

.PHONY: e2e
e2e: ## every requirement, on the stack that `up` has started (RUN='R8|G5': only these)
	$(call NEED,curl lftp)
	$(BUILD_CLUSTER)
	cd tools/e2e && CGO_ENABLED=0 go build -buildvcs=false -ldflags='-s -w' -o ../../out/bin/probe ./probe
	cd tools/e2e && $(CLUSTER_SUDO) go test -count=1 -v -timeout 45m -exec "$(CURDIR)/out/bin/cluster --provider=$(PROVIDER) client" -run 'TestAcceptance$(if $(RUN),/($(RUN)))' .

.PHONY: down
down: ## remove the cluster and all that it left on this machine
	$(CLUSTER) down

.PHONY: test-cluster
test-cluster: ## the cluster's own tests: network policies with real packets, and its life from up to down
	cd tools/cluster/addons && $(SUDO) go test -tags nettest -count=1 ./networkpolicy/...
	cd tools/cluster && $(SUDO) go test -tags clustertest -count=1 -timeout 20m -v -run TestLifecycle .

.PHONY: images
images: ## build every image that changed (ARGS=--require-all, --locked, --force; MIRROR=…)
	$(BUILDER) build $(ARGS)

image-%: ## build one image, as in make image-nginx
	$(BUILDER) build $(ARGS) $*

.PHONY: lock
lock: ## build every image anew with today's packages, and write images/lock.yaml
	$(BUILDER) lock $(ARGS)

.PHONY: test-images
test-images: ## run every image for real, with the configuration of base/, and look into its layers
	$(SUDO) go test -tags imagetest -count=1 -v -run TestBuiltImages ./tools/images/internal/layers
	$(SUDO) go test -tags imagetest -count=1 -timeout 30m -parallel 8 -v ./tools/images/internal/imagetest

# What a killed test-cluster leaves.
.PHONY: down-lifecycle
down-lifecycle:
	$(BUILD_CLUSTER) && exec $(SUDO) out/bin/cluster --provider=local --name=lifecycle --state=out/lifecycle down

.PHONY: load-minikube
load-minikube: ## bring the images into the minikube cluster
	$(BUILDER) load minikube $(ARGS)

.PHONY: clean
clean: ## remove what was built
	$(SUDO) rm -rf out
