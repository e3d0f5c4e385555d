package cluster

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ft-services/ft-services/tools/cluster/internal/addon"
	"github.com/ft-services/ft-services/tools/cluster/internal/build"
	"github.com/ft-services/ft-services/tools/cluster/internal/node"
)

// Folders of the repository.
const (
	here       = "tools/cluster"
	kubernetes = here + "/kubernetes"
	coredns    = here + "/coredns"
	metallb    = here + "/metallb"
	addons     = here + "/addons"
	pause      = here + "/pause"
)

// metallbModule is MetalLB's Go module; its zip holds its manifests too.
const metallbModule = "go.universe.tf/metallb"

// pauseImage is named here only: the kubelet never looks it up elsewhere.
const pauseImage = "localhost/ft-services-cluster/pause:1"

// components are the parts of Kubernetes that its one program plays.
var components = []string{node.APIServer, node.ControllerManager, node.Scheduler, node.Proxy, node.Kubelet, "kubectl"}

// products are what a cluster is made of.
type products struct {
	// programs are paths by name.
	programs map[string]string
	// archives are the images of the cluster's own pods, by name.
	archives map[string]string
	// metallb is MetalLB's manifests.
	metallb []byte
}

// build makes everything, or finds it in the cache.
func (c *Cluster) build(ctx context.Context) (*products, error) {
	kubernetesProgram, err := c.kubernetesProgram()
	if err != nil {
		return nil, err
	}
	strip := []string{"-ldflags=-s -w"}
	made := &products{programs: map[string]string{}, archives: map[string]string{}}
	for _, program := range []build.Program{
		kubernetesProgram,
		{Name: "coredns", Module: coredns, Package: ".", Sources: []string{coredns}, Flags: strip},
		{Name: "controller", Module: metallb, Package: metallbModule + "/controller", Sources: []string{metallb}, Flags: strip},
		{Name: "speaker", Module: metallb, Package: metallbModule + "/speaker", Sources: []string{metallb}, Flags: strip},
		{Name: "pause", Module: ".", Package: "./" + pause, Sources: []string{pause}, Flags: strip},
		{Name: node.NetworkPolicy, Module: addons, Package: "./networkpolicy", Sources: []string{addons}, Flags: strip},
		{Name: node.Provisioner, Module: addons, Package: "./provisioner", Sources: []string{addons}, Flags: strip},
	} {
		built, err := c.cache.Program(ctx, program)
		if err != nil {
			return nil, err
		}
		made.programs[program.Name] = built
		for _, link := range program.Links {
			made.programs[link] = filepath.Join(filepath.Dir(built), link)
		}
	}
	manifests, err := c.cache.Manifests(ctx, metallb, metallbModule, "config/native")
	if err != nil {
		return nil, err
	}
	if made.metallb, err = os.ReadFile(manifests); err != nil {
		return nil, fmt.Errorf("read MetalLB's manifests: %w", err)
	}
	// The manifests say what the images are called; the last element is the program.
	images, err := addon.Images([]byte(string(made.metallb) + "\n---\n" + string(addon.CoreDNS())))
	if err != nil {
		return nil, fmt.Errorf("read the images of the cluster's own pods: %w", err)
	}
	for _, image := range append(images, pauseImage) {
		name, _, _ := strings.Cut(path.Base(image), ":")
		program, ok := made.programs[name]
		if !ok {
			return nil, fmt.Errorf("build image %s: there is no program %s", image, name)
		}
		if made.archives[image], err = c.cache.Image(ctx, image, program); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// kubernetesProgram gives the binary the version that its go.mod requires, or it would call itself v0.0.0.
func (c *Cluster) kubernetesProgram() (build.Program, error) {
	gomod, err := os.ReadFile(filepath.Join(c.options.Repository, kubernetes, "go.mod"))
	if err != nil {
		return build.Program{}, fmt.Errorf("find the version of Kubernetes: %w", err)
	}
	version, err := build.RequiredVersion(gomod, "k8s.io/kubernetes")
	if err != nil {
		return build.Program{}, err
	}
	numbers := strings.Split(strings.TrimPrefix(version, "v"), ".")
	if len(numbers) < 3 {
		return build.Program{}, fmt.Errorf("find the version of Kubernetes: %q is none", version)
	}
	const variable = " -X k8s.io/component-base/version."
	flags := "-ldflags=-s -w" + variable + "gitVersion=" + version + variable + "gitMajor=" + numbers[0] + variable + "gitMinor=" + numbers[1] +
		variable + "gitTreeState=clean"
	return build.Program{
		Name: "kubernetes", Module: kubernetes, Package: ".", Sources: []string{kubernetes}, Flags: []string{flags},
		Links: components, Hint: " " + version + " (the first time this takes 4 to 9 minutes on 2 cores)",
	}, nil
}
