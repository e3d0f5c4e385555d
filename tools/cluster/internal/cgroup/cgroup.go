// Package cgroup keeps the processes of a cluster together, so that they can be found again whoever started them and
// whatever was recorded: a process can leave its cgroup only by being moved, and its children are born into it.
//
// All layouts are handled: version 1 has one directory tree for each controller, version 2 a single one, and a machine
// may have both at once.
package cgroup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Tree is a cgroup and everything below it, in every hierarchy of the machine.
type Tree struct {
	path        string
	hierarchies []string
	// beside is version 2's hierarchy where version 1 has the controllers. runc uses it too, but containerd does not
	// move its shims there, so it cannot tell whose a process is.
	beside []string
}

// Open finds the machine's hierarchies; path is the tree's place in them. Nothing is created.
func Open(path string) (*Tree, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	defer file.Close()
	hierarchies, beside, err := parseMounts(file)
	if err != nil {
		return nil, fmt.Errorf("find cgroups in /proc/self/mountinfo: %w", err)
	}
	return &Tree{path: path, hierarchies: hierarchies, beside: beside}, nil
}

// parseMounts returns the mount points of the hierarchies that have the controllers, and of the one beside them.
func parseMounts(mountinfo io.Reader) (hierarchies, beside []string, err error) {
	var v1, v2 []string
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		mount, filesystem, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(mount)
		// A container may see a part of a hierarchy mounted elsewhere too; where the tools look is enough.
		if !ok || len(fields) < 5 || !strings.HasPrefix(fields[4], "/sys/fs/cgroup") {
			continue
		}
		switch kind, _, _ := strings.Cut(filesystem, " "); kind {
		case "cgroup":
			v1 = append(v1, fields[4])
		case "cgroup2":
			v2 = append(v2, fields[4])
		}
	}
	if err := lines.Err(); err != nil {
		return nil, nil, err
	}
	slices.Sort(v1)
	switch {
	case len(v1) > 0:
		return slices.Compact(v1), v2, nil
	case len(v2) > 0:
		return v2[:1], nil, nil
	}
	return nil, nil, errors.New("no cgroup file system is mounted below /sys/fs/cgroup")
}

// Path returns the tree's place in each hierarchy, as the kubelet and containerd want it.
func (t *Tree) Path(child string) string {
	return filepath.Join("/", t.path, child)
}

// Create makes a child, ready to take processes, and returns its directories.
func (t *Tree) Create(child string) ([]string, error) {
	var dirs []string
	for _, hierarchy := range t.hierarchies {
		dir := hierarchy
		for _, element := range strings.Split(filepath.Join(t.path, child), "/") {
			parent := dir
			dir = filepath.Join(dir, element)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, fmt.Errorf("create cgroup: %w", err)
			}
			if err := inherit(parent, dir); err != nil {
				return nil, fmt.Errorf("prepare cgroup %s: %w", dir, err)
			}
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// inherit gives a new cgroup what it would otherwise lack: version 1's cpusets start without a processor, version 2's
// cgroups without controllers.
func inherit(parent, dir string) error {
	controllers, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if err == nil {
		for _, controller := range strings.Fields(string(controllers)) {
			// A controller that cannot be passed on is one that nothing here depends on.
			_ = os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+controller), 0)
		}
		return nil
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		have, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(have)) != "" {
			continue
		}
		value, err := os.ReadFile(filepath.Join(parent, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), value, 0); err != nil {
			return err
		}
	}
	return nil
}

// Processes returns the ids of all processes in a child ("" for the whole tree) and below it.
func (t *Tree) Processes(child string) ([]int, error) {
	var pids []int
	for _, dir := range t.dirs(child) {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			// A cgroup may vanish while it is looked at.
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || entry.Name() != "cgroup.procs" {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENODEV) &&
				!errors.Is(err, syscall.EOPNOTSUPP) {
				return err
			}
			for _, field := range strings.Fields(string(data)) {
				pid, err := strconv.Atoi(field)
				if err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
				// 0 is a process that this process namespace cannot see.
				if pid > 0 {
					pids = append(pids, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list processes of cgroup %s: %w", dir, err)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

func (t *Tree) dirs(child string) []string {
	var dirs []string
	for _, hierarchy := range t.hierarchies {
		dirs = append(dirs, filepath.Join(hierarchy, t.path, child))
	}
	return dirs
}

// Signal sends a signal to every process in a child and below it, and returns how many there were.
func (t *Tree) Signal(child string, signal syscall.Signal) (int, error) {
	pids, err := t.Processes(child)
	if err != nil {
		return 0, err
	}
	t.SignalThese(child, pids, signal)
	return len(pids), nil
}

// SignalThese sends a signal to those of the processes that are in a child or below it.
func (t *Tree) SignalThese(child string, pids []int, signal syscall.Signal) {
	for _, pid := range pids {
		// The handle pins the process: if it is still in the cgroup after the handle was taken, the handle is for it
		// and for no later bearer of its number.
		process, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		if t.holds(child, pid) {
			_ = process.Signal(signal)
		}
		_ = process.Release()
	}
}

func (t *Tree) holds(child string, pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return false
	}
	want := t.Path(child)
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && (fields[2] == want || strings.HasPrefix(fields[2], want+"/")) {
			return true
		}
	}
	return false
}

// Kill ends every process in a child and below it. Those that do not follow TERM within the grace period are killed.
func (t *Tree) Kill(ctx context.Context, child string, grace time.Duration) error {
	deadline := time.Now().Add(grace)
	if grace > 0 {
		if _, err := t.Signal(child, syscall.SIGTERM); err != nil {
			return err
		}
	}
	killDeadline := deadline.Add(20 * time.Second)
	for {
		var count int
		var err error
		if time.Now().Before(deadline) {
			var pids []int
			pids, err = t.Processes(child)
			count = len(pids)
		} else {
			// Again and again: a process may have had a child since the last look.
			count, err = t.Signal(child, syscall.SIGKILL)
		}
		if err != nil || count == 0 {
			return err
		}
		if time.Now().After(killDeadline) {
			pids, _ := t.Processes(child)
			return fmt.Errorf("end processes of cgroup %s: still there after KILL: %v", t.Path(child), pids)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Remove removes the whole tree, which must have no process left, and its parents if that leaves them empty.
func (t *Tree) Remove() error {
	for _, hierarchy := range slices.Concat(t.hierarchies, t.beside) {
		dir := filepath.Join(hierarchy, t.path)
		var all []string
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				all = append(all, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("remove cgroup: %w", err)
		}
		slices.Reverse(all)
		for _, path := range all {
			if err := removeDir(path); err != nil {
				return fmt.Errorf("remove cgroup: %w", err)
			}
		}
		// The parent is shared with other clusters, and goes with the last of them.
		if parent := filepath.Dir(t.path); parent != "." && parent != "/" {
			_ = os.Remove(filepath.Join(hierarchy, parent))
		}
	}
	return nil
}

// removeDir waits a little: the kernel lets go of a cgroup some time after its last process ended.
func removeDir(dir string) error {
	var err error
	for range 100 {
		err = os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// Usage returns a child's working memory in bytes: what is in use without what the kernel could drop at once.
func (t *Tree) Usage(child string) (uint64, bool) {
	files := [][2]string{{"memory.usage_in_bytes", "total_inactive_file"}, {"memory.current", "inactive_file"}}
	for _, dir := range t.dirs(child) {
		for _, names := range files {
			data, err := os.ReadFile(filepath.Join(dir, names[0]))
			if err != nil {
				continue
			}
			usage, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
			if err != nil {
				continue
			}
			stat, _ := os.ReadFile(filepath.Join(dir, "memory.stat"))
			for line := range strings.Lines(string(stat)) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				if inactive, err := strconv.ParseUint(value, 10, 64); key == names[1] && err == nil && inactive < usage {
					usage -= inactive
				}
			}
			return usage, true
		}
	}
	return 0, false
}
