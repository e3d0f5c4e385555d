package pod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

const (
	defaultContainerAnnotation = "kubectl.kubernetes.io/default-container"
	defaultGracePeriod         = 30 * time.Second
	startWithin                = 20 * time.Second // a container from nothing to a process
	pollEvery                  = 50 * time.Millisecond
	// A container that ends at once must not keep the machine busy; a cluster waits longer.
	backOff = time.Second
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

// container is one of a pod's containers through all its restarts.
type container struct {
	spec     *corev1.Container
	stopping chan struct{}
	ended    chan struct{} // closed when it has stopped for good

	mu       sync.Mutex
	current  *process
	restarts int
	exits    []int
}

// process is one run of one container.
type process struct {
	id      string
	started time.Time
	done    chan struct{}
	code    int // valid after done
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

// supervise restarts a container, at once after its first end, until it is told to stop.
func (p *Pod) supervise(c *container) {
	defer close(c.ended)
	for {
		c.mu.Lock()
		current := c.current
		c.mu.Unlock()
		<-current.done
		select {
		case <-c.stopping:
			return
		case <-p.host.closing:
			return
		default:
		}
		if time.Since(current.started) < backOff {
			select {
			case <-c.stopping:
				return
			case <-time.After(backOff):
			}
		}
		next, err := p.runContainer(context.Background(), c.spec, p.log(c.spec.Name))
		c.mu.Lock()
		c.exits = append(c.exits, current.code)
		c.restarts++
		if err == nil {
			c.current = next
		}
		c.mu.Unlock()
		if errors.Is(err, ErrClosed) {
			return
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "pod %s: container %s is not restarted: %v\n", p.config.Workload.Name, c.spec.Name, err)
			return
		}
	}
}

func (p *Pod) runContainer(ctx context.Context, spec *corev1.Container, log string) (*process, error) {
	return p.run(ctx, spec.Image, spec.Name, log, func(s setting) (*specs.Spec, error) {
		return containerSpec(p.spec, spec, s)
	})
}

// run starts a container from a fresh copy of its image, which is removed when it ends.
func (p *Pod) run(ctx context.Context, reference, name, log string, translate func(setting) (*specs.Spec, error)) (*process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := p.host.enter(); err != nil {
		return nil, err
	}
	started := false
	defer func() {
		if !started {
			p.host.leave()
		}
	}()
	image, err := p.host.image(reference)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.attempts++
	id := fmt.Sprintf("%s-%s-%d", filepath.Base(p.directory), name, p.attempts)
	p.mu.Unlock()
	bundle := filepath.Join(p.directory, id)
	s := p.setting
	s.image, s.rootfs, s.cgroup = image.config, filepath.Join(bundle, "rootfs"), cgroup(p.host.directory)+"/"+id
	spec, err := translate(s)
	if err != nil {
		return nil, err
	}
	if err := makeBundle(bundle, image.rootfs, spec); err != nil {
		return nil, fmt.Errorf("making the bundle of container %s: %w", name, err)
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of container %s: %w", name, err)
	}
	defer out.Close()
	cmd := exec.Command("runc", "--root", p.state(), "--log", p.log("runc"), "run", "--bundle", bundle, id)
	cmd.Stdout, cmd.Stderr = out, out
	// An interrupt from the keyboard is for this program, which then ends the containers in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting runc for container %s: %w", name, err), removeBundle(bundle))
	}
	started = true
	run := &process{id: id, started: time.Now(), done: make(chan struct{})}
	go func() {
		defer p.host.leave()
		_ = cmd.Wait()
		run.code = cmd.ProcessState.ExitCode()
		if err := removeBundle(bundle); err != nil {
			fmt.Fprintf(os.Stderr, "container %s: %v\n", id, err)
		}
		close(run.done)
	}()
	return run, nil
}

func (p *Pod) state() string          { return filepath.Join(p.host.directory, "runc") }
func (p *Pod) log(name string) string { return filepath.Join(p.config.Logs, name+".log") }

// makeBundle lays an empty layer over the image's files, where the runtime makes mount points.
func makeBundle(bundle, rootfs string, spec *specs.Spec) error {
	for _, name := range []string{"upper", "work", "rootfs"} {
		if err := os.MkdirAll(filepath.Join(bundle, name), 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", rootfs, filepath.Join(bundle, "upper"), filepath.Join(bundle, "work"))
	if err := unix.Mount("overlay", spec.Root.Path, "overlay", 0, options); err != nil {
		return fmt.Errorf("mounting an overlay at %s: %w", spec.Root.Path, err)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bundle, "config.json"), text, 0o600)
}

func removeBundle(bundle string) error {
	if err := unix.Unmount(filepath.Join(bundle, "rootfs"), unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmounting the root of %s: %w", bundle, err)
	}
	return os.RemoveAll(bundle)
}

// waitRunning returns the process id, on this machine, of a container's first process.
func (p *Pod) waitRunning(ctx context.Context, process *process) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		out, err := exec.CommandContext(ctx, "runc", "--root", p.state(), "state", process.id).Output()
		var state specs.State
		if err == nil && json.Unmarshal(out, &state) == nil && state.Status == specs.StateRunning {
			return state.Pid, nil
		}
		select {
		case <-process.done:
			return 0, fmt.Errorf("it ended with code %d; logs are in %s", process.code, p.config.Logs)
		case <-ctx.Done():
			return 0, fmt.Errorf("it does not run: %w", context.Cause(ctx))
		case <-time.After(pollEvery):
		}
	}
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

// Restarts tells how often a container was restarted, and with which codes it had ended.
func (p *Pod) Restarts(name string) (int, []int) {
	c, err := p.container(name)
	if err != nil {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.restarts, slices.Clone(c.exits)
}

// WaitRestart waits until a container has been restarted so many times.
func (p *Pod) WaitRestart(ctx context.Context, name string, times int) error {
	for {
		if restarts, _ := p.Restarts(name); restarts >= times {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("container %s has not ended: %w", name, context.Cause(ctx))
		case <-time.After(pollEvery):
		}
	}
}

// Exec runs a command in a container, as `kubectl exec` does, and returns what it writes and its exit
// code. A command that is still running when the context ends is killed.
func (p *Pod) Exec(ctx context.Context, name string, argv ...string) (string, int, error) {
	return p.ExecInput(ctx, name, nil, argv...)
}

// ExecInput is Exec with something to read for the command.
func (p *Pod) ExecInput(ctx context.Context, name string, input io.Reader, argv ...string) (string, int, error) {
	c, err := p.container(name)
	if err != nil {
		return "", 0, err
	}
	c.mu.Lock()
	id := c.current.id
	c.mu.Unlock()
	pidFile, err := os.CreateTemp(p.directory, "exec-")
	if err != nil {
		return "", 0, fmt.Errorf("executing in container %s: %w", name, err)
	}
	pidFile.Close()
	defer os.Remove(pidFile.Name())
	args := append([]string{"--root", p.state(), "exec", "--pid-file", pidFile.Name(), id}, argv...)
	cmd := exec.CommandContext(ctx, "runc", args...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		if pid, err := readPID(pidFile.Name()); err == nil {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		return cmd.Process.Kill()
	}
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		return out.String(), 0, fmt.Errorf("executing %s in container %s: %w", argv[0], name, context.Cause(ctx))
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), exit.ExitCode(), nil
	}
	if err != nil {
		return out.String(), 0, fmt.Errorf("executing %s in container %s: %w", argv[0], name, err)
	}
	return out.String(), 0, nil
}

func readPID(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Signal sends a signal to a container's first process.
func (p *Pod) Signal(name string, signal syscall.Signal) error {
	c, err := p.container(name)
	if err != nil {
		return err
	}
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	return p.signal(current, signal)
}

func (p *Pod) signal(process *process, signal syscall.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	err := runc(ctx, p.state(), "kill", process.id, strconv.Itoa(int(signal)))
	select {
	case <-process.done:
		return nil // it was faster
	default:
		return err
	}
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
	name := filepath.Base(p.directory)
	containers, err := os.ReadDir(p.state())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range containers {
		if strings.HasPrefix(entry.Name(), name+"-") {
			_ = runc(ctx, p.state(), "kill", "--all", entry.Name(), "KILL")
			_ = runc(ctx, p.state(), "delete", "--force", entry.Name())
		}
	}
	points, err := mountsBelow(p.directory)
	if err != nil {
		return err
	}
	for _, point := range slices.Backward(points) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmounting %s: %w", point, err)
		}
	}
	if points, err = mountsBelow(p.directory); err != nil || len(points) > 0 {
		return errors.Join(err, fmt.Errorf("still mounted: %s", points))
	}
	return os.RemoveAll(p.directory)
}
