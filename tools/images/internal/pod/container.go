package pod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	startWithin = 20 * time.Second // a container from nothing to a process
	pollEvery   = 50 * time.Millisecond
	// A container that ends at once must not keep the machine busy; a cluster waits longer.
	backOff = time.Second
)

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
		if err == nil {
			c.current = next
			c.restarts++
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
