package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// workPrefix begins the name of a build's scratch folder.
const workPrefix = ".work-"

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
	stale, err := filepath.Glob(filepath.Join(dir, workPrefix+"*"))
	if err != nil {
		return fmt.Errorf("look for scratch folders: %w", err)
	}
	for _, work := range stale {
		if err := remove(work); err != nil {
			return fmt.Errorf("remove the scratch folder of a former build: %w", err)
		}
	}
	return nil
}

// remove removes a scratch folder. mmdebstrap may have left mounts in it (when it was killed with
// SIGKILL): following one would delete the host's own files, so they go first.
func remove(dir string) error {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read the mounts: %w", err)
	}
	var below []string
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], absolute+"/") {
			below = append(below, fields[4])
		}
	}
	slices.SortFunc(below, func(a, b string) int { return len(b) - len(a) })
	for _, mount := range below {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", mount, err)
		}
	}
	return os.RemoveAll(absolute)
}
