// Package cluster boots a real Kubernetes on one machine, without Docker and without a virtual machine, and takes it
// down again without a trace.
//
// Nothing is remembered that could be wrong after a crash: what runs is read from the cgroups, what is configured from
// the kernel, so `up` carries on from whatever it finds and `down` removes whatever there is.
package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ft-services/ft-services/tools/cluster/internal/addon"
	"github.com/ft-services/ft-services/tools/cluster/internal/build"
	"github.com/ft-services/ft-services/tools/cluster/internal/cgroup"
	"github.com/ft-services/ft-services/tools/cluster/internal/deploy"
	"github.com/ft-services/ft-services/tools/cluster/internal/network"
	"github.com/ft-services/ft-services/tools/cluster/internal/node"
	"github.com/ft-services/ft-services/tools/cluster/internal/pki"
	"github.com/ft-services/ft-services/tools/cluster/internal/process"
	"github.com/ft-services/ft-services/tools/cluster/internal/progress"
)

// group is the parent of all clusters' cgroups and runtime folders.
const group = "ft-services-cluster"

// Namespace is the one that the user's kubeconfig selects.
const Namespace = "ft-services"

// Options say which cluster, and how.
type Options struct {
	// Name tells clusters apart: everything of the machine that is named bears it.
	Name string
	// State is the folder of the cluster's files, an absolute path.
	State string
	// Repository is the repository's root.
	Repository string
	// HostAccess gives the machine an address in the cluster's network, or does not; nil: as the cluster has it, or else
	// it does.
	HostAccess *bool
	// Overlay is deployed, unless it is empty.
	Overlay string
}

// Cluster is one cluster of this machine.
type Cluster struct {
	options   Options
	log       *progress.Log
	cache     *build.Cache
	network   *network.Network
	cgroups   *cgroup.Tree
	processes *process.Manager
	runtime   string
}

// validName leaves room for what is appended; a name is part of paths, namespaces and a node's name.
var validName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$`)

// New returns a cluster; nothing happens yet.
func New(options Options, log *progress.Log) (*Cluster, error) {
	if !validName.MatchString(options.Name) {
		return nil, fmt.Errorf("--name %q: use at most 30 lower-case letters, digits and dashes", options.Name)
	}
	cgroups, err := cgroup.Open(filepath.Join(group, options.Name))
	if err != nil {
		return nil, err
	}
	runtime := filepath.Join("/run", group, options.Name)
	return &Cluster{
		options: options,
		log:     log,
		cache:   &build.Cache{Dir: filepath.Join(options.Repository, "out", "cache"), Repository: options.Repository, Log: log},
		network: network.New(options.Name),
		cgroups: cgroups,
		processes: &process.Manager{
			Records: filepath.Join(runtime, "processes"), Logs: filepath.Join(options.State, "logs"), Cgroups: cgroups,
		},
		runtime: runtime,
	}, nil
}

// Exists says whether a cluster of that name was made on this machine and not removed.
func Exists(name string) bool {
	_, err := os.Stat(filepath.Join("/run", group, name, "owner"))
	return err == nil
}

func (c *Cluster) node(programs map[string]string) *node.Node {
	return &node.Node{
		Name: c.options.Name, State: c.options.State, Runtime: c.runtime, Programs: programs,
		PauseImage: pauseImage, Cgroup: c.cgroups.Path(""),
	}
}

// Kubeconfig is the path of the user's kubeconfig.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.options.State, "kubeconfig") }

func (c *Cluster) lock() (func(remove bool), error) {
	release, err := lock(filepath.Join("/run", group, c.options.Name+".lock"), patience)
	if err != nil {
		return nil, err
	}
	owner, err := os.ReadFile(filepath.Join(c.runtime, "owner"))
	if err == nil && string(owner) != c.options.State {
		release(false)
		return nil, fmt.Errorf("use cluster %s: it keeps its state in %s; give --state=%[2]s, or another --name",
			c.options.Name, owner)
	}
	return release, nil
}

// Up boots what does not run, and deploys.
func (c *Cluster) Up(ctx context.Context) error {
	if err := errors.Join(checkRoot(), checkTools()); err != nil {
		return err
	}
	release, err := c.lock()
	if err != nil {
		return err
	}
	defer release(false)
	made, err := c.build(ctx)
	if err != nil {
		return err
	}
	if c.options.Overlay == "" {
		if err := c.boot(ctx, made, nil); err != nil {
			return err
		}
		return c.waitOwn(ctx, made)
	}
	workloads, err := deploy.Workloads(c.options.Overlay)
	if err != nil {
		return err
	}
	archives, err := deploy.Archives(c.images(), images(workloads))
	if err != nil {
		return err
	}
	if err := c.boot(ctx, made, archives); err != nil {
		return err
	}
	return c.deploy(ctx, made, workloads)
}

// own returns the workloads of the cluster itself.
func (c *Cluster) own(made *products) (dns, balancer []deploy.Workload, err error) {
	if dns, err = deploy.ParseWorkloads(addon.CoreDNS()); err != nil {
		return nil, nil, err
	}
	balancer, err = deploy.ParseWorkloads(made.metallb)
	return dns, balancer, err
}

func (c *Cluster) waitOwn(ctx context.Context, made *products) error {
	dns, balancer, err := c.own(made)
	if err != nil {
		return err
	}
	return c.deployer(made).Wait(ctx, 3*time.Minute, append(dns, balancer...))
}

// boot brings the node up, and puts further image archives into it.
func (c *Cluster) boot(ctx context.Context, made *products, archives map[string]string) error {
	described := c.node(made.programs)
	if err := described.CheckPaths(); err != nil {
		return err
	}
	if err := c.prepare(ctx, described); err != nil {
		return err
	}
	enter, fresh, err := c.holdMounts(ctx)
	if err != nil {
		return err
	}
	if fresh {
		if err := c.unsettle(); err != nil {
			return err
		}
	}
	specs := map[string]process.Spec{}
	for _, spec := range described.Processes() {
		spec.Enter = enter
		specs[spec.Name] = spec
	}
	for _, name := range []string{node.Containerd, node.Etcd, node.APIServer} {
		if err := c.ensure(ctx, specs[name]); err != nil {
			return err
		}
	}
	// Images go into the node while the API server starts.
	ownLoaded := background(func() error { return c.loadOwn(ctx, made.archives) })
	if err := c.control(ctx, specs, made); err != nil {
		return errors.Join(err, ownLoaded())
	}
	if err := ownLoaded(); err != nil {
		return err
	}
	// Started last: from its first moment it runs pods, and needs their images and their policies.
	if err := c.ensure(ctx, specs[node.Kubelet]); err != nil {
		return err
	}
	loaded := background(func() error { return c.importImages(ctx, archives) })
	err = c.waitNode(ctx, made)
	if err == nil {
		err = c.settle(ctx, made)
	}
	return errors.Join(err, loaded())
}

// A boot that is interrupted must not be forgotten: the next run finds the node's mounts and would take it for one that
// runs.
func (c *Cluster) unsettledFile() string { return filepath.Join(c.runtime, "unsettled") }

func (c *Cluster) unsettle() error {
	return writeFile(c.unsettledFile(), []byte(time.Now().Format(time.RFC3339)))
}

// settle waits, after a boot, until what the API server says of pods is not from before: until the kubelet has looked
// at each.
func (c *Cluster) settle(ctx context.Context, made *products) error {
	data, err := os.ReadFile(c.unsettledFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read when the node was booted: %w", err)
	}
	booted, err := time.Parse(time.RFC3339, string(data))
	if err != nil {
		return fmt.Errorf("read when the node was booted in %s: %w", c.unsettledFile(), err)
	}
	if err := c.deployer(made).Settled(ctx, booted); err != nil {
		return err
	}
	if err := os.Remove(c.unsettledFile()); err != nil {
		return fmt.Errorf("forget that the node was booted: %w", err)
	}
	return nil
}

func (c *Cluster) waitNode(ctx context.Context, made *products) error {
	kubectl := c.kubectlFor(made)
	const condition = `--output=jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.lastHeartbeatTime}{end}`
	err := progress.Until(ctx, "the node to be Ready", 2*time.Minute, 500*time.Millisecond, func(ctx context.Context) error {
		if err := c.processes.Dead(); err != nil {
			return progress.Stop(err)
		}
		// Of a node that was Ready before a restart, the API server says so until the kubelet has reported again.
		started, ok := c.processes.Running(node.Kubelet)
		if !ok {
			return errors.New("the kubelet does not run")
		}
		output, err := kubectl(ctx, "get", "node", c.options.Name, condition)
		if err != nil {
			return err
		}
		status, heartbeat, _ := strings.Cut(string(output), " ")
		seen, err := time.Parse(time.RFC3339, heartbeat)
		if status != "True" || err != nil || seen.Before(started.Started) {
			return fmt.Errorf("its condition Ready is %q since %s", status, heartbeat)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w\nthe end of the kubelet's log:\n%s", err, c.processes.Tail(node.Kubelet, 12))
	}
	c.log.Step("node %s is Ready", c.options.Name)
	return nil
}

func (c *Cluster) hostAccessFile() string { return filepath.Join(c.options.State, "host-access") }

// hostAccess says whether the machine gets an address in the cluster's network.
func (c *Cluster) hostAccess() (bool, error) {
	if c.options.HostAccess != nil {
		return *c.options.HostAccess, nil
	}
	data, err := os.ReadFile(c.hostAccessFile())
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the choice of --host-access: %w", err)
	}
	access, err := strconv.ParseBool(string(data))
	if err != nil {
		return false, fmt.Errorf("read the choice of --host-access in %s: %w; give the flag", c.hostAccessFile(), err)
	}
	return access, nil
}

// prepare makes everything that processes find: folders, network, cgroups, certificates, configuration.
func (c *Cluster) prepare(ctx context.Context, described *node.Node) error {
	access, err := c.hostAccess()
	if err != nil {
		return err
	}
	if running, err := c.cgroups.Processes(""); err != nil {
		return err
	} else if len(running) > 0 && !network.Exists(c.network.NodeNamespace()) {
		c.log.Step("the node's network is gone: stopping what is left of the node")
		if err := c.stop(ctx, false); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(c.runtime, 0o700); err != nil {
		return fmt.Errorf("create the runtime folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.runtime, "owner"), []byte(c.options.State), 0o600); err != nil {
		return fmt.Errorf("mark the cluster's owner: %w", err)
	}
	if err := os.MkdirAll(c.options.State, 0o755); err != nil {
		return fmt.Errorf("create the state folder: %w", err)
	}
	for _, folder := range described.Folders() {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("create folder: %w", err)
		}
	}
	if err := c.createMountPoints(); err != nil {
		return err
	}
	if err := writeFile(c.hostAccessFile(), []byte(strconv.FormatBool(access))); err != nil {
		return err
	}
	if err := c.network.Up(ctx, access); err != nil {
		return err
	}
	// Filters packets between pods on the node's bridge; built into some kernels, loaded already on others.
	_ = exec.CommandContext(ctx, "modprobe", "br_netfilter").Run()
	if _, err := c.cgroups.Create(node.Shims); err != nil {
		return err
	}
	if err := described.Certify(); err != nil {
		return fmt.Errorf("certify the node: %w", err)
	}
	files, err := described.Files()
	if err != nil {
		return err
	}
	for path, data := range files {
		if err := writeFile(path, data); err != nil {
			return err
		}
	}
	kubeconfig, err := described.Store().Kubeconfig(node.Server(), node.ClusterCA, node.Admin,
		pki.KubeconfigOptions{Namespace: Namespace, Cluster: c.options.Name, Embed: true})
	if err != nil {
		return err
	}
	return writeFile(c.Kubeconfig(), kubeconfig)
}

// writeFile replaces a file at once, unless it is as it should be.
func writeFile(path string, data []byte) error {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, data) {
		return nil
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// createMountPoints makes the folders of the machine over which the node mounts its own, and remembers which were not
// there. They stay empty: what the node writes is in its own mounts.
func (c *Cluster) createMountPoints() error {
	list := filepath.Join(c.options.State, "created")
	data, err := os.ReadFile(list)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read which folders were created: %w", err)
	}
	created := strings.Fields(string(data))
	for _, folder := range node.Hidden {
		var absent []string
		for path := folder; ; path = filepath.Dir(path) {
			if _, err := os.Stat(path); err == nil {
				break
			}
			absent = append(absent, path)
		}
		for _, path := range absent {
			if !slices.Contains(created, path) {
				created = append(created, path)
			}
		}
	}
	// The list first: a run that is killed in between leaves a list with too much, not with too little.
	if err := writeFile(list, []byte(strings.Join(created, "\n"))); err != nil {
		return err
	}
	for _, folder := range node.Hidden {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("create mount point: %w", err)
		}
	}
	return nil
}

// holdMounts makes the node's mount namespace, held by a process that does nothing else, and returns the command that
// enters it and the node's network, and whether it is a new one. If only the holder has died, its successor joins what the others still have.
func (c *Cluster) holdMounts(ctx context.Context) (enter []string, fresh bool, err error) {
	holder, ok := c.processes.Running(node.Holder)
	if !ok {
		spec := process.Spec{
			Name:    node.Holder,
			Command: []string{"unshare", "--mount", "--propagation=slave", "/bin/sh", "-c", node.HolderScript()},
		}
		names, err := c.processes.Recorded()
		if err != nil {
			return nil, false, err
		}
		for _, name := range names {
			if other, ok := c.processes.Running(name); ok {
				spec.Command = []string{"sleep", "infinity"}
				spec.Enter = []string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", other.PID), "--"}
				break
			}
		}
		if fresh = len(spec.Enter) == 0; fresh {
			// Shims and containers without any recorded process hold mounts that nothing can reach any more.
			if err := c.cgroups.Kill(ctx, "", 0); err != nil {
				return nil, false, err
			}
		}
		if err := c.ensure(ctx, spec); err != nil {
			return nil, false, err
		}
		if holder, ok = c.processes.Running(node.Holder); !ok {
			return nil, false, fmt.Errorf("make the node's mounts: the holder has ended:\n%s", c.processes.Tail(node.Holder, 12))
		}
	}
	err = progress.Until(ctx, "the node's mounts", 10*time.Second, 20*time.Millisecond, func(context.Context) error {
		// The shell becomes sleep when all is mounted.
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", holder.PID))
		if err != nil || string(command) != "sleep\x00infinity\x00" {
			if _, ok := c.processes.Running(node.Holder); !ok {
				return progress.Stop(fmt.Errorf("the holder has ended:\n%s", c.processes.Tail(node.Holder, 12)))
			}
			return fmt.Errorf("the holder is still mounting:\n%s", c.processes.Tail(node.Holder, 12))
		}
		return nil
	})
	enter = []string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", holder.PID)}
	return append(enter, network.Enter(c.network.NodeNamespace())[1:]...), fresh, err
}

func (c *Cluster) ensure(ctx context.Context, spec process.Spec) error {
	started, err := c.processes.Ensure(ctx, spec)
	if err == nil && started {
		c.log.Step("started %s", spec.Name)
	}
	return err
}

// control starts what needs the API server, the kubelet excepted, and applies the cluster's own objects.
func (c *Cluster) control(ctx context.Context, specs map[string]process.Spec, made *products) error {
	kubectl := c.kubectlFor(made)
	err := progress.Until(ctx, "the API server", time.Minute, 200*time.Millisecond, func(ctx context.Context) error {
		if err := c.processes.Dead(); err != nil {
			return progress.Stop(err)
		}
		_, err := kubectl(ctx, "get", "--raw=/readyz", "--request-timeout=2s")
		return err
	})
	if err != nil {
		return fmt.Errorf("%w\nthe end of its log:\n%s", err, c.processes.Tail(node.APIServer, 12))
	}
	c.log.Step("the API server is ready")
	for _, name := range []string{node.ControllerManager, node.Scheduler, node.Proxy} {
		if err := c.ensure(ctx, specs[name]); err != nil {
			return err
		}
	}
	if err := c.apply(ctx, kubectl, "node", addon.Node()); err != nil {
		return err
	}
	for _, name := range []string{node.NetworkPolicy, node.Provisioner} {
		if err := c.ensure(ctx, specs[name]); err != nil {
			return err
		}
	}
	for name, manifests := range map[string][]byte{"coredns": addon.CoreDNS(), "metallb": made.metallb} {
		if err := c.apply(ctx, kubectl, name, manifests); err != nil {
			return err
		}
	}
	return progress.Until(ctx, "the network policies", 30*time.Second, 200*time.Millisecond, func(ctx context.Context) error {
		if err := c.processes.Dead(); err != nil {
			return progress.Stop(err)
		}
		enter := append(network.Enter(c.network.NodeNamespace()), "nft", "list", "tables")
		output, err := exec.CommandContext(ctx, enter[0], enter[1:]...).Output()
		if err == nil && !strings.Contains(string(output), "table inet networkpolicy") {
			err = fmt.Errorf("the enforcer has made no table yet; its log:\n%s", c.processes.Tail(node.NetworkPolicy, 8))
		}
		return err
	})
}

func (c *Cluster) apply(ctx context.Context, kubectl deploy.Kubectl, name string, manifests []byte) error {
	path := filepath.Join(c.options.State, "config", name+".manifests.yaml")
	if err := writeFile(path, manifests); err != nil {
		return err
	}
	// The first seconds of a fresh API server: its own controllers still make what others depend on.
	err := progress.Until(ctx, "the manifests of "+name+" to be applied", 30*time.Second, 500*time.Millisecond, func(ctx context.Context) error {
		_, err := kubectl(ctx, "apply", "--filename="+path)
		return err
	})
	if err == nil {
		c.log.Step("applied the manifests of %s", name)
	}
	return err
}

// background runs a function and returns one that waits for its result.
func background(run func() error) (wait func() error) {
	var group sync.WaitGroup
	var err error
	group.Add(1)
	go func() {
		defer group.Done()
		err = run()
	}()
	return func() error {
		group.Wait()
		return err
	}
}

// kubectlFor returns kubectl, run in the client's namespace: nothing it sends can leave the cluster's network.
func (c *Cluster) kubectlFor(made *products) deploy.Kubectl {
	return func(ctx context.Context, args ...string) ([]byte, error) {
		cmd := c.kubectlCommand(ctx, made.programs["kubectl"], args)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
		}
		return stdout.Bytes(), nil
	}
}

func (c *Cluster) kubectlCommand(ctx context.Context, program string, args []string) *exec.Cmd {
	command := slices.Concat(network.Enter(c.network.ClientNamespace()), []string{program}, args)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (c *Cluster) deployer(made *products) *deploy.Deployer {
	return &deploy.Deployer{Kubectl: c.kubectlFor(made), Check: c.processes.Dead, Log: c.log}
}

// deploy applies the overlay and waits for what can run.
func (c *Cluster) deploy(ctx context.Context, made *products, workloads []deploy.Workload) error {
	dns, balancer, err := c.own(made)
	if err != nil {
		return err
	}
	present, err := c.presentImages(ctx)
	if err != nil {
		return err
	}
	if err := c.deployer(made).Run(ctx, deploy.Plan{
		Overlay: c.options.Overlay, Workloads: workloads, Images: present, Before: balancer, Also: dns,
	}); err != nil {
		return err
	}
	kubectl := "go run ./tools/cluster kubectl"
	access, err := c.hostAccess()
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("kubectl"); access && err == nil {
		kubectl = "kubectl --kubeconfig=" + relative(c.Kubeconfig())
	}
	c.log.Text(deploy.Passwords(kubectl))
	c.log.Step("done")
	return nil
}

func relative(path string) string {
	if directory, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(directory, path); err == nil && !strings.HasPrefix(short, "..") {
			return short
		}
	}
	return path
}

func (c *Cluster) images() string { return filepath.Join(c.options.Repository, "out", "images") }

func images(workloads []deploy.Workload) []string {
	var images []string
	for _, workload := range workloads {
		images = append(images, workload.Images...)
	}
	return images
}
