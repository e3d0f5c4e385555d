// Package minikube runs the stack in minikube, with the same overlay, images and waits as the cluster that this program
// boots itself.
package minikube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ft-services/ft-services/tools/cluster/internal/build"
	"github.com/ft-services/ft-services/tools/cluster/internal/deploy"
	"github.com/ft-services/ft-services/tools/cluster/internal/network"
	"github.com/ft-services/ft-services/tools/cluster/internal/progress"
	"github.com/ft-services/ft-services/tools/cluster/internal/runner"
)

const (
	namespace = "ft-services"
	// excludeLabel keeps MetalLB from announcing anything from a control plane's node; minikube sets it.
	excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers-"
)

// Options say which profile, and what to deploy.
type Options struct {
	// Name is minikube's profile.
	Name string
	// State is where the kubeconfig goes; Repository is the repository's root.
	State, Repository string
	// Overlay is deployed, unless it is empty.
	Overlay string
}

// Minikube is one profile.
type Minikube struct {
	options Options
	log     *progress.Log
	cache   *build.Cache
}

// New returns a profile; nothing happens yet.
func New(options Options, log *progress.Log) (*Minikube, error) {
	if _, err := exec.LookPath("minikube"); err != nil {
		return nil, errors.New("use minikube: it is not on the PATH; install it, or give --provider=local")
	}
	if _, err := exec.LookPath("kubectl"); err != nil {
		return nil, errors.New("use minikube: kubectl is not on the PATH; install it (a script that calls `minikube kubectl --` will do)")
	}
	return &Minikube{
		options: options, log: log,
		cache: &build.Cache{Dir: filepath.Join(options.Repository, "out", "cache"), Repository: options.Repository, Log: log},
	}, nil
}

// Up starts minikube, installs MetalLB and deploys.
func (m *Minikube) Up(ctx context.Context) error {
	gomod, err := os.ReadFile(filepath.Join(m.options.Repository, "tools/cluster/kubernetes/go.mod"))
	if err != nil {
		return fmt.Errorf("find the version of Kubernetes: %w", err)
	}
	version, err := build.RequiredVersion(gomod, "k8s.io/kubernetes")
	if err != nil {
		return err
	}
	metallb, err := m.cache.Manifests(ctx, "tools/cluster/metallb", "go.universe.tf/metallb", "config/native")
	if err != nil {
		return err
	}
	m.log.Step("starting minikube")
	// Started again, minikube carries on with what there is.
	err = m.start(ctx, "--kubernetes-version="+version, "--cni=calico", "--subnet="+network.Subnet.String())
	if err != nil {
		return err
	}
	steps := [][]string{
		{"label", "nodes", "--all", excludeLabel},
		{"apply", "--filename=" + metallb},
		{"config", "set-context", m.options.Name, "--namespace=" + namespace},
	}
	for _, step := range steps {
		if _, err := m.kubectl(ctx, step...); err != nil {
			return err
		}
	}
	if err := m.writeKubeconfig(ctx); err != nil {
		return err
	}
	data, err := os.ReadFile(metallb)
	if err != nil {
		return fmt.Errorf("read MetalLB's manifests: %w", err)
	}
	balancer, err := deploy.ParseWorkloads(data)
	if err != nil {
		return err
	}
	deployer := &deploy.Deployer{Kubectl: m.kubectl, Log: m.log}
	if err := deployer.Wait(ctx, 10*time.Minute, balancer); err != nil {
		return err
	}
	if m.options.Overlay == "" {
		return nil
	}
	return m.deploy(ctx, deployer)
}

// start starts the profile. Some drivers refuse root unless they are told that it is meant.
func (m *Minikube) start(ctx context.Context, args ...string) error {
	if os.Geteuid() == 0 {
		args = append(args, "--force")
	}
	return m.show(ctx, append([]string{"start"}, args...)...)
}

func (m *Minikube) deploy(ctx context.Context, deployer *deploy.Deployer) error {
	workloads, err := deploy.Workloads(m.options.Overlay)
	if err != nil {
		return err
	}
	var wanted []string
	for _, workload := range workloads {
		wanted = append(wanted, workload.Images...)
	}
	archives, err := deploy.Archives(m.images(), wanted)
	if err != nil {
		return err
	}
	present, err := m.present(ctx)
	if err != nil {
		return err
	}
	for image, file := range archives {
		// minikube has no means to compare contents; a tag names one.
		if !slices.Contains(present, image) {
			m.log.Step("loading %s", image)
			if err := m.show(ctx, "image", "load", file); err != nil {
				return err
			}
		}
	}
	if present, err = m.present(ctx); err != nil {
		return err
	}
	if err := deployer.Run(ctx, deploy.Plan{
		Overlay: m.options.Overlay, Workloads: workloads, Images: present,
	}); err != nil {
		return err
	}
	m.log.Text(deploy.Passwords("kubectl --context=" + m.options.Name))
	m.log.Step("done")
	return nil
}

func (m *Minikube) images() string { return filepath.Join(m.options.Repository, "out", "images") }

func (m *Minikube) present(ctx context.Context) ([]string, error) {
	output, err := m.run(ctx, "minikube", m.args("image", "ls")...)
	if err != nil {
		return nil, fmt.Errorf("list the node's images: %w", err)
	}
	return strings.Fields(string(output)), nil
}

// writeKubeconfig leaves the same file in the same place as the cluster that needs no minikube.
func (m *Minikube) writeKubeconfig(ctx context.Context) error {
	data, err := m.kubectl(ctx, "config", "view", "--minify", "--flatten", "--raw")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.options.State, 0o755); err != nil {
		return fmt.Errorf("create the state folder: %w", err)
	}
	if err := os.WriteFile(m.kubeconfig(), data, 0o600); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	return nil
}

// Down deletes the profile.
func (m *Minikube) Down(ctx context.Context) error {
	if err := m.show(ctx, "delete"); err != nil {
		return err
	}
	if err := os.Remove(m.kubeconfig()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the kubeconfig: %w", err)
	}
	_ = os.Remove(m.options.State)
	return nil
}

// Restart stops the node and boots it again with the same data.
func (m *Minikube) Restart(ctx context.Context) error {
	deployer := &deploy.Deployer{Kubectl: m.kubectl, Log: m.log}
	before, err := deployer.Ready(ctx)
	if err != nil {
		return err
	}
	if err := m.show(ctx, "stop"); err != nil {
		return err
	}
	begun := time.Now()
	if err := m.start(ctx); err != nil {
		return err
	}
	// minikube sets the label again.
	if _, err := m.kubectl(ctx, "label", "nodes", "--all", excludeLabel); err != nil {
		return err
	}
	// What the API server says of pods is from before, until the kubelet has looked at each.
	if err := deployer.Settled(ctx, begun); err != nil {
		return err
	}
	return deployer.Wait(ctx, 10*time.Minute, before)
}

// Status prints what minikube says.
func (m *Minikube) Status(ctx context.Context, out io.Writer) error {
	output, err := m.run(ctx, "minikube", m.args("status")...)
	fmt.Fprint(out, string(output))
	return err
}

// Load puts archives into the node; without any, all that were built.
func (m *Minikube) Load(ctx context.Context, files []string) error {
	if len(files) == 0 {
		var err error
		if files, err = filepath.Glob(filepath.Join(m.images(), "*.oci.tar")); err != nil {
			return fmt.Errorf("find images: %w", err)
		}
	}
	for _, file := range files {
		if err := m.show(ctx, "image", "load", file); err != nil {
			return err
		}
	}
	return nil
}

// Kubectl runs kubectl with this program's input and output. It returns kubectl's exit code.
func (m *Minikube) Kubectl(ctx context.Context, args []string) (int, error) {
	return runner.Run(ctx, append([]string{"kubectl", "--context=" + m.options.Name}, args...))
}

// Client runs a command on this machine, which is minikube's client, with the kubeconfig of this profile alone. CLUSTER
// is the command that runs this program on the profile. It returns the command's exit code.
func (m *Minikube) Client(ctx context.Context, command []string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find this program: %w", err)
	}
	if err := m.writeKubeconfig(ctx); err != nil {
		return 0, err
	}
	again := []string{self, "--provider=minikube", "--name=" + m.options.Name, "--state=" + m.options.State}
	return runner.Run(ctx, command, "KUBECONFIG="+m.kubeconfig(), "CLUSTER="+strings.Join(again, " "))
}

func (m *Minikube) kubeconfig() string { return filepath.Join(m.options.State, "kubeconfig") }

// Logs prints what minikube kept of its node; it does not tell the processes apart.
func (m *Minikube) Logs(ctx context.Context, _ string, out io.Writer) error {
	output, err := m.run(ctx, "minikube", m.args("logs")...)
	fmt.Fprint(out, string(output))
	return err
}

// Kill ends one of the node's processes.
func (m *Minikube) Kill(ctx context.Context, process string) error {
	_, err := m.run(ctx, "minikube", m.args("ssh", "--", "sudo", "pkill", "-KILL", "-x", process)...)
	return err
}

func (m *Minikube) args(args ...string) []string {
	return append([]string{"--profile=" + m.options.Name}, args...)
}

func (m *Minikube) kubectl(ctx context.Context, args ...string) ([]byte, error) {
	return m.run(ctx, "kubectl", append([]string{"--context=" + m.options.Name}, args...)...)
}

// show runs minikube and lets it tell its own progress.
func (m *Minikube) show(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "minikube", m.args(args...)...)
	cmd.Stdout, cmd.Stderr = m.log.Writer(), m.log.Writer()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("minikube %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func (m *Minikube) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		return output, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return output, nil
}
