package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ft-services/ft-services/tools/images/internal/program"
)

// workPrefix begins the name of a build's scratch folder.
const workPrefix = ".work-"

// programsDir is where built programs are kept, in the folder of images.
const programsDir = "programs"

// lockFolder makes sure that one build at a time writes to the folder. The lock ends with the process.
func lockFolder(dir string) (func(), error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of images: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the folder of images: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another build writes to %s: wait for its end (%w)", dir, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// removeStale removes scratch folders that a killed build left behind. Their owner is gone: it held the
// lock.
func removeStale(dir string) error {
	for _, pattern := range []string{workPrefix + "*", filepath.Join(programsDir, program.WorkPrefix+"*")} {
		stale, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return fmt.Errorf("look for scratch folders: %w", err)
		}
		for _, work := range stale {
			if err := remove(work); err != nil {
				return fmt.Errorf("remove the scratch folder of a former build: %w", err)
			}
		}
	}
	return nil
}

// remove removes a scratch folder. When a build was killed with SIGKILL, mmdebstrap may go on writing
// to it, and mounts may be in it: following one would delete the host's own files, so they go first.
func remove(dir string) error {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	// The kernel knows the folder by the name that has no symbolic link in it.
	resolved, err := filepath.EvalSymlinks(absolute)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := endProcesses(absolute, resolved); err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read the mounts: %w", err)
	}
	for _, mount := range mountsBelow(string(mounts), resolved) {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", mount, err)
		}
	}
	return os.RemoveAll(resolved)
}

// inMountinfo undoes how the kernel writes a path there. Source: proc_pid_mountinfo(5).
var inMountinfo = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// mountsBelow returns the mount points below dir, the deepest first.
func mountsBelow(mountinfo, dir string) []string {
	var below []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if mount := inMountinfo.Replace(fields[4]); strings.HasPrefix(mount, dir+"/") {
			below = append(below, mount)
		}
	}
	slices.SortStableFunc(below, func(a, b string) int { return len(b) - len(a) })
	return below
}

// endWithin is how long the processes of a killed build may take to be gone.
const endWithin = 20 * time.Second

// endProcesses kills what a build has started for its scratch folder. dir and resolved are two names of
// that folder.
func endProcesses(dir, resolved string) error {
	for late := time.Now().Add(endWithin); ; time.Sleep(20 * time.Millisecond) {
		running, err := processesOf(dir, resolved)
		if err != nil || len(running) == 0 {
			return err
		}
		if time.Now().After(late) {
			return fmt.Errorf("processes %v of a former build do not end: end them, and try again", running)
		}
		for _, pid := range running {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end process %d of a former build: %w", pid, err)
			}
		}
	}
}

// processesOf finds the processes that have their temporary files in the folder, as a build tells every
// program that it starts, or their root. Somebody's shell that stands in the folder is none of them.
func processesOf(dir, resolved string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for processes of a former build: %w", err)
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// Processes end meanwhile, and those of others cannot be looked into: neither is ours.
		root, _ := os.Readlink(filepath.Join("/proc", entry.Name(), "root"))
		environment, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if within(root, resolved) || slices.ContainsFunc(strings.Split(string(environment), "\x00"), func(variable string) bool {
			folder, isTemporary := strings.CutPrefix(variable, "TMPDIR=")
			return isTemporary && within(folder, dir)
		}) {
			found = append(found, pid)
		}
	}
	return found, nil
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
