package pod

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	hostPrefix = "ft-services-images-"
	lockName   = "lock"
	// Removing what an earlier run left, or this one leaves, needs only kills and unmounts.
	cleanWithin = 30 * time.Second
)

// Host is what one run has on this machine: one directory, and what bears the directory's name or
// lies below it, be it containers, mounts, network namespaces or cgroups. Close removes all of it.
type Host struct {
	directory string
	archives  string
	lock      *os.File
	closing   chan struct{}

	mu       sync.Mutex
	images   map[string]*image
	networks int
	pods     int

	gate     sync.Mutex
	closed   bool
	busy     int // who is making or keeping something
	close    sync.Once
	closeErr error
}

// ErrClosed means that a host is being removed, so nothing can be made on it any more.
var ErrClosed = errors.New("the host is closed")

// enter announces that something is being made, until leave: Close removes for as long as that lasts.
func (h *Host) enter() error {
	h.gate.Lock()
	defer h.gate.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.busy++
	return nil
}

func (h *Host) leave() {
	h.gate.Lock()
	defer h.gate.Unlock()
	h.busy--
}

func (h *Host) isBusy() bool {
	h.gate.Lock()
	defer h.gate.Unlock()
	return h.busy > 0
}

// NewHost makes a host that unpacks images from a directory of archives. What earlier runs could not
// remove, because they were killed, is removed first.
func NewHost(archives string) (*Host, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("making namespaces and mounts needs root: run it with sudo")
	}
	if _, err := exec.LookPath("runc"); err != nil {
		return nil, fmt.Errorf("looking for runc, from the package of that name: %w", err)
	}
	sweep(os.TempDir())
	directory, err := os.MkdirTemp("", hostPrefix)
	if err != nil {
		return nil, fmt.Errorf("making a directory for the run: %w", err)
	}
	// Users inside the containers go through it, and see nothing but what is mounted for them.
	if err := os.Chmod(directory, 0o711); err != nil {
		return nil, fmt.Errorf("opening %s to the containers' users: %w", directory, err)
	}
	lock, err := lockDirectory(directory)
	if err != nil {
		return nil, err
	}
	h := &Host{directory: directory, archives: archives, lock: lock, closing: make(chan struct{}), images: map[string]*image{}}
	for _, name := range []string{"images", "pods", "networks", "runc"} {
		if err := os.Mkdir(filepath.Join(directory, name), 0o711); err != nil {
			return nil, errors.Join(fmt.Errorf("preparing the run: %w", err), h.Close())
		}
	}
	return h, nil
}

// lockDirectory marks a directory as in use for as long as this process lives.
func lockDirectory(directory string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(directory, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", directory, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", directory, err), file.Close())
	}
	return file, nil
}

// sweep removes the directories of runs that are over. A failure is left to the next run.
func sweep(parent string) {
	old, _ := filepath.Glob(filepath.Join(parent, hostPrefix+"*"))
	for _, directory := range old {
		if lock, err := lockDirectory(directory); err == nil {
			_ = remove(directory, func() bool { return false })
			lock.Close()
		}
	}
}

// NewNetwork makes a network for some pods.
func (h *Host) NewNetwork() (*Network, error) {
	if err := h.enter(); err != nil {
		return nil, err
	}
	defer h.leave()
	h.mu.Lock()
	h.networks++
	file := filepath.Join(h.directory, "networks", fmt.Sprint(h.networks))
	h.mu.Unlock()
	return newNetwork(file)
}

// NewClaim makes a directory for a claim. It stays until the host is closed.
func (h *Host) NewClaim() (string, error) {
	if err := h.enter(); err != nil {
		return "", err
	}
	defer h.leave()
	directory, err := os.MkdirTemp(h.directory, "claim-")
	if err != nil {
		return "", fmt.Errorf("making a claim's directory: %w", err)
	}
	return directory, nil
}

// Unpack puts a workload's images on the disk, so that its start takes as long as on a node that has
// them already.
func (h *Host) Unpack(workload Workload) error {
	if err := h.enter(); err != nil {
		return err
	}
	defer h.leave()
	spec := workload.Template.Spec
	for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
		if _, err := h.image(container.Image); err != nil {
			return err
		}
	}
	return nil
}

// image returns an image, unpacked when it is first asked for.
func (h *Host) image(reference string) (*image, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known := h.images[reference]; known != nil {
		return known, nil
	}
	loaded, err := loadImage(archiveOf(h.archives, reference), reference, filepath.Join(h.directory, "images", shortName(reference)))
	if err != nil {
		return nil, err
	}
	h.images[reference] = loaded
	return loaded, nil
}

// Close removes everything that the run has on the machine. It may be called again, and at any moment.
func (h *Host) Close() error {
	h.close.Do(func() {
		h.gate.Lock()
		h.closed = true
		h.gate.Unlock()
		close(h.closing) // nothing is restarted any more
		h.closeErr = remove(h.directory, h.isBusy)
		h.lock.Close()
	})
	return h.closeErr
}

// cgroup is the name of the run's cgroup, below which all its containers are.
func cgroup(directory string) string { return "/" + filepath.Base(directory) }

// remove ends and removes whatever belongs to a run, found by the directory's name alone, so that it
// works for a run that is dead. It goes on for as long as somebody is busy there.
func remove(directory string, busy func() bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanWithin)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		over := !busy()
		if err = removeOnce(ctx, directory); err == nil && over {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return fmt.Errorf("removing what the run left at %s: %w", directory, errors.Join(err, ctx.Err()))
}

func removeOnce(ctx context.Context, directory string) error {
	if err := killContainers(ctx, filepath.Join(directory, "runc"), ""); err != nil {
		return err
	}
	if err := killCgroup(cgroup(directory)); err != nil {
		return err
	}
	return removeTree(directory)
}

// killContainers ends and removes the containers whose names begin so.
func killContainers(ctx context.Context, state, prefix string) error {
	containers, err := os.ReadDir(state)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listing containers: %w", err)
	}
	for _, container := range containers {
		if strings.HasPrefix(container.Name(), prefix) {
			// `delete --force` kills only the first process where the pod shares its processes.
			_ = runc(ctx, state, "kill", "--all", container.Name(), "KILL")
			_ = runc(ctx, state, "delete", "--force", container.Name())
		}
	}
	return nil
}

// removeTree removes a directory after what is mounted below it.
func removeTree(directory string) error {
	points, err := mountsBelow(directory)
	if err != nil {
		return err
	}
	for _, point := range slices.Backward(points) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmounting %s: %w", point, err)
		}
	}
	// What is still mounted may be somebody's data.
	points, err = mountsBelow(directory)
	if err != nil {
		return err
	}
	if len(points) > 0 {
		return fmt.Errorf("still mounted: %s", points)
	}
	return os.RemoveAll(directory)
}

// runc runs one command of the runtime; what it says is part of the error.
func runc(ctx context.Context, state string, args ...string) error {
	cmd := exec.CommandContext(ctx, "runc", append([]string{"--root", state}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("runc %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// mountsBelow returns mount points, in the order in which they were mounted.
func mountsBelow(directory string) ([]string, error) {
	table, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	defer table.Close()
	var points []string
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && strings.HasPrefix(fields[4], directory+"/") {
			points = append(points, fields[4])
		}
	}
	return points, lines.Err()
}

// killCgroup kills what is in a cgroup and below, and removes it from every hierarchy: with version 1
// there is one for each controller, with version 2 one for all.
func killCgroup(name string) error {
	var failures []error
	for _, pattern := range []string{"/sys/fs/cgroup" + name, "/sys/fs/cgroup/*" + name} {
		tops, _ := filepath.Glob(pattern)
		for _, top := range tops {
			failures = append(failures, killHierarchy(top))
		}
	}
	return errors.Join(failures...)
}

func killHierarchy(top string) error {
	var groups []string
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			groups = append(groups, name)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("listing the cgroup %s: %w", top, err)
	}
	for _, group := range slices.Backward(groups) {
		members, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		for _, line := range strings.Fields(string(members)) {
			var pid int
			if _, err := fmt.Sscan(line, &pid); err == nil && pid > 0 {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		if err := os.Remove(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the cgroup %s: %w", group, err)
		}
	}
	return nil
}
