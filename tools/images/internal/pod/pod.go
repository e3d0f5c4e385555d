package pod

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

const (
	defaultContainerAnnotation = "kubectl.kubernetes.io/default-container"
	defaultGracePeriod         = 30 * time.Second
)

// ServiceAccount is what a pod gets that may ask the API server.
type ServiceAccount struct {
	Token string
	CA    []byte
	Port  int // of the API server, on 127.0.0.1
}

// Config says which pod to run and what is around it.
type Config struct {
	Workload       Workload
	Manifests      *Manifests
	Secrets        map[string]map[string][]byte // by name and key
	Claims         map[string]string            // directories by the claim's name
	ServiceAccount *ServiceAccount              // for a pod that mounts a token
	Network        *Network
	Logs           string // a directory for what the containers write
}

// Pod is a pod of this machine: its volumes, a sandbox that holds its namespaces, its containers.
type Pod struct {
	host      *Host
	config    Config
	spec      *corev1.PodSpec
	directory string
	setting   setting // common to all containers
	sandbox   *process
	stopped   []*container

	mu         sync.Mutex
	attempts   int
	containers map[string]*container
}

// NewPod makes a pod's volumes and starts its sandbox, so that containers can be tried in it.
func (h *Host) NewPod(ctx context.Context, config Config) (*Pod, error) {
	if err := h.enter(); err != nil {
		return nil, err
	}
	defer h.leave()
	h.mu.Lock()
	h.pods++
	directory := filepath.Join(h.directory, "pods", fmt.Sprintf("%s-%d", config.Workload.Name, h.pods))
	h.mu.Unlock()
	p := &Pod{
		host: h, config: config, spec: config.Workload.Template.Spec.DeepCopy(), directory: directory,
		containers: map[string]*container{},
	}
	if err := p.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing pod %s: %w", config.Workload.Name, err), p.Close())
	}
	return p, nil
}

func (p *Pod) prepare(ctx context.Context) error {
	memory := filepath.Join(p.directory, "memory")
	volumesOf := filepath.Join(p.directory, "volumes")
	for _, directory := range []string{memory, volumesOf, p.config.Logs} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return err
		}
	}
	if err := mountTmpfs(memory, "mode=755"); err != nil {
		return err
	}
	group := -1
	if general := p.spec.SecurityContext; general != nil && general.FSGroup != nil {
		group = int(*general.FSGroup)
	}
	v := volumes{config: &p.config, namespace: p.config.Workload.Namespace, directory: volumesOf, memory: memory, group: group}
	directories, err := v.make(p.spec)
	if err != nil {
		return err
	}
	p.setting = setting{
		name:      p.config.Workload.Name,
		namespace: p.config.Workload.Namespace,
		volumes:   directories,
		env:       map[string]string{},
	}
	if err := p.giveToken(&v); err != nil {
		return err
	}
	if p.setting.files, err = p.writeFiles(); err != nil {
		return err
	}
	p.setting.shared.network = p.config.Network.file
	return p.startSandbox(ctx)
}

// giveToken mounts a token into every container, if the pod is to have one.
func (p *Pod) giveToken(v *volumes) error {
	wanted := p.spec.AutomountServiceAccountToken
	if wanted == nil || !*wanted {
		return nil
	}
	account := p.config.ServiceAccount
	if account == nil {
		return errors.New("it mounts a ServiceAccount's token, and none is given")
	}
	directory, err := v.token(account)
	if err != nil {
		return err
	}
	p.setting.volumes[tokenVolume] = directory
	p.setting.env["KUBERNETES_SERVICE_HOST"] = podAddress
	p.setting.env["KUBERNETES_SERVICE_PORT"] = strconv.Itoa(account.Port)
	mount := corev1.VolumeMount{Name: tokenVolume, MountPath: tokenFolder, ReadOnly: true}
	for _, list := range [][]corev1.Container{p.spec.InitContainers, p.spec.Containers} {
		for i := range list {
			list[i].VolumeMounts = append(list[i].VolumeMounts, mount)
		}
	}
	return nil
}

// writeFiles makes the three files under /etc by which a pod finds others.
func (p *Pod) writeFiles() (map[string]string, error) {
	namespace := p.config.Workload.Namespace
	hosts := "127.0.0.1\tlocalhost " + p.config.Workload.Name + "\n"
	for _, name := range p.config.Manifests.HostNames() {
		hosts += "127.0.0.1\t" + name + "\n"
	}
	files := map[string]string{}
	for name, text := range map[string]string{
		"hosts":    hosts,
		"hostname": p.config.Workload.Name + "\n",
		"resolv.conf": fmt.Sprintf("search %[1]s.svc.%[2]s svc.%[2]s %[2]s\nnameserver %[3]s\noptions ndots:5\n",
			namespace, clusterDomain, podAddress),
	} {
		outside := filepath.Join(p.directory, name)
		if err := os.WriteFile(outside, []byte(text), 0o644); err != nil {
			return nil, err
		}
		files["/etc/"+name] = outside
	}
	return files, nil
}

func (p *Pod) startSandbox(ctx context.Context) error {
	sandbox, err := p.run(ctx, p.spec.Containers[0].Image, "sandbox", p.log("sandbox"), func(s setting) (*specs.Spec, error) {
		return sandboxSpec(p.spec, s)
	})
	if err != nil {
		return fmt.Errorf("starting the sandbox: %w", err)
	}
	p.sandbox = sandbox
	pid, err := p.waitRunning(ctx, sandbox)
	if err != nil {
		return fmt.Errorf("starting the sandbox: %w", err)
	}
	p.setting.shared.ipc = fmt.Sprintf("/proc/%d/ns/ipc", pid)
	p.setting.shared.uts = fmt.Sprintf("/proc/%d/ns/uts", pid)
	if share := p.spec.ShareProcessNamespace; share != nil && *share {
		p.setting.shared.pid = fmt.Sprintf("/proc/%d/ns/pid", pid)
	}
	return nil
}

// Init runs the init containers, one after the other.
func (p *Pod) Init(ctx context.Context) error {
	for i := range p.spec.InitContainers {
		init := &p.spec.InitContainers[i]
		if init.RestartPolicy != nil {
			return fmt.Errorf("init container %s has a restartPolicy, which is not supported here", init.Name)
		}
		code, err := p.runToEnd(ctx, init, p.log(init.Name))
		if err != nil {
			return fmt.Errorf("running init container %s: %w", init.Name, err)
		}
		if code != 0 {
			return fmt.Errorf("init container %s ended with code %d; its log is %s", init.Name, code, p.log(init.Name))
		}
	}
	return nil
}

// Try runs another command in the place of a container's own, with its user, mounts and limits, and
// returns what it writes and its exit code. The container itself must not run.
func (p *Pod) Try(ctx context.Context, name string, argv ...string) (string, int, error) {
	spec := p.containerSpec(name)
	if spec == nil {
		return "", 0, fmt.Errorf("pod %s has no container %s", p.config.Workload.Name, name)
	}
	changed := spec.DeepCopy()
	changed.Command, changed.Args = argv, nil
	log := filepath.Join(p.directory, "try.log")
	defer os.Remove(log)
	code, err := p.runToEnd(ctx, changed, log)
	if err != nil {
		return "", 0, fmt.Errorf("trying %s in container %s: %w", argv[0], name, err)
	}
	out, err := os.ReadFile(log)
	return string(out), code, err
}

func (p *Pod) runToEnd(ctx context.Context, spec *corev1.Container, log string) (int, error) {
	process, err := p.runContainer(ctx, spec, log)
	if err != nil {
		return 0, err
	}
	select {
	case <-process.done:
		return process.code, nil
	case <-ctx.Done():
		_ = p.signal(process, unix.SIGKILL)
		return 0, fmt.Errorf("it did not end: %w", context.Cause(ctx))
	}
}

// Start starts the containers, which from now on are restarted whenever they end.
func (p *Pod) Start(ctx context.Context) error {
	for i := range p.spec.Containers {
		spec := &p.spec.Containers[i]
		first, err := p.runContainer(ctx, spec, p.log(spec.Name))
		if err != nil {
			return fmt.Errorf("starting container %s: %w", spec.Name, err)
		}
		c := &container{spec: spec, stopping: make(chan struct{}), ended: make(chan struct{}), current: first}
		p.mu.Lock()
		p.containers[spec.Name] = c
		p.mu.Unlock()
		go p.supervise(c)
	}
	return nil
}

// Containers are the names of the pod's containers, without the init containers.
func (p *Pod) Containers() []string {
	var names []string
	for i := range p.spec.Containers {
		names = append(names, p.spec.Containers[i].Name)
	}
	return names
}

// Command is what a container executes, as the pod says it.
func (p *Pod) Command(name string) []string {
	spec := p.containerSpec(name)
	if spec == nil {
		return nil
	}
	return append(slices.Clone(spec.Command), spec.Args...)
}

// DefaultContainer is the one that `kubectl exec` takes when it is not told.
func (p *Pod) DefaultContainer() string {
	if name := p.config.Workload.Template.Annotations[defaultContainerAnnotation]; name != "" {
		return name
	}
	return p.spec.Containers[0].Name
}

func (p *Pod) containerSpec(name string) *corev1.Container {
	for i := range p.spec.Containers {
		if p.spec.Containers[i].Name == name {
			return &p.spec.Containers[i]
		}
	}
	return nil
}

func (p *Pod) container(name string) (*container, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.containers[name]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("pod %s: container %s has not been started", p.config.Workload.Name, name)
}

// Stop ends the pod as a deletion does: TERM to all containers, and KILL to those that are still there
// after the grace period, whose names it returns. Volumes that are not claims are gone afterwards.
func (p *Pod) Stop(ctx context.Context) (killed []string, err error) {
	grace := defaultGracePeriod
	if seconds := p.spec.TerminationGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	p.mu.Lock()
	running := maps.Clone(p.containers)
	clear(p.containers)
	p.mu.Unlock()
	var failures []error
	for name, c := range running {
		close(c.stopping)
		c.mu.Lock()
		current := c.current
		c.mu.Unlock()
		if err := p.signal(current, unix.SIGTERM); err != nil {
			failures = append(failures, fmt.Errorf("stopping container %s: %w", name, err))
		}
	}
	graceCtx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for _, name := range slices.Sorted(maps.Keys(running)) {
		select {
		case <-running[name].ended:
		case <-graceCtx.Done():
			killed = append(killed, name)
		}
		p.stopped = append(p.stopped, running[name])
	}
	return killed, errors.Join(append(failures, p.Close())...)
}

// Close ends the pod at once and removes it. It may be called again, also after Stop.
func (p *Pod) Close() error {
	p.mu.Lock()
	running := maps.Clone(p.containers)
	clear(p.containers)
	p.mu.Unlock()
	for _, c := range running {
		close(c.stopping)
	}
	p.stopped = append(p.stopped, slices.Collect(maps.Values(running))...)
	ctx, cancel := context.WithTimeout(context.Background(), cleanWithin)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		// A restart may have been under way: only when nobody can start anything is it over.
		over := p.over()
		if err = p.removeOnce(ctx); err == nil && over {
			return nil
		}
		time.Sleep(pollEvery)
	}
	return fmt.Errorf("removing pod %s: %w", p.config.Workload.Name, err)
}

func (p *Pod) over() bool {
	for _, c := range p.stopped {
		select {
		case <-c.ended:
		default:
			return false
		}
	}
	if p.sandbox == nil {
		return true
	}
	select {
	case <-p.sandbox.done:
		return true
	default:
		return false
	}
}

// removeOnce finds what there is of the pod by its directory's name, which all its containers bear.
func (p *Pod) removeOnce(ctx context.Context) error {
	if err := killContainers(ctx, p.state(), filepath.Base(p.directory)+"-"); err != nil {
		return err
	}
	return removeTree(p.directory)
}
