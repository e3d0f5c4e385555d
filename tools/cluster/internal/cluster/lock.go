package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// patience is how long a run waits for a lock whose holder was killed: a child that the holder was about to start holds
// it too, until its program begins.
const patience = 3 * time.Second

// lock keeps two runs from working on one cluster at once. The kernel releases it when its holder ends, however that
// happens.
func lock(path string, patience time.Duration) (release func(remove bool), err error) {
	deadline := time.Now().Add(patience)
	for {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("lock the cluster: %w", err)
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("lock the cluster: %w", err)
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			_ = file.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				if time.Now().Before(deadline) {
					time.Sleep(50 * time.Millisecond)
					continue
				}
				return nil, fmt.Errorf("lock the cluster: another run is working on it (%s); wait for its end", path)
			}
			return nil, fmt.Errorf("lock the cluster: %w", err)
		}
		// The holder before may have removed the file while this run was opening it.
		mine, err := file.Stat()
		if err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("lock the cluster: %w", err)
		}
		if current, err := os.Stat(path); err != nil || !os.SameFile(mine, current) {
			_ = file.Close()
			continue
		}
		return func(remove bool) {
			if remove {
				_ = os.Remove(path)
				_ = os.Remove(filepath.Dir(path))
			}
			_ = file.Close()
		}, nil
	}
}
