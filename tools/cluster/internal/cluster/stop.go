package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ft-services/ft-services/tools/cluster/internal/node"
)

// stop ends all processes and what lives only as long as they do. gently gives containers and etcd time to end by
// themselves, as a node that shuts down does.
func (c *Cluster) stop(ctx context.Context, gently bool) error {
	grace := time.Duration(0)
	if gently {
		grace = 10 * time.Second
		// First the kubelet, or it would start again what ends.
		if err := c.processes.Stop(ctx, node.Kubelet, grace); err != nil {
			return err
		}
		if err := c.terminatePods(ctx, grace); err != nil {
			return err
		}
	}
	if err := c.cgroups.Kill(ctx, "kubepods", 0); err != nil {
		return err
	}
	if err := c.cgroups.Kill(ctx, "", grace); err != nil {
		return err
	}
	if err := c.network.DeleteNode(ctx); err != nil {
		return err
	}
	// As /run of a machine that was switched off.
	if err := os.RemoveAll(c.runtime); err != nil {
		return fmt.Errorf("remove the runtime folder: %w", err)
	}
	return nil
}

// terminatePods asks the containers' processes to end. Not pause: where it is process 1, the kernel kills the whole pod
// with it.
func (c *Cluster) terminatePods(ctx context.Context, grace time.Duration) error {
	deadline := time.Now().Add(grace)
	for first := true; ; first = false {
		pids, err := c.cgroups.Processes("kubepods")
		if err != nil {
			return err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool {
			name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			return err != nil || strings.TrimSpace(string(name)) == "pause"
		})
		if len(pids) == 0 || time.Now().After(deadline) {
			return nil
		}
		if first {
			c.cgroups.SignalThese("kubepods", pids, syscall.SIGTERM)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Restart stops the node as if it were switched off and boots it again with the same data.
func (c *Cluster) Restart(ctx context.Context) error {
	if err := errors.Join(checkRoot(), checkTools()); err != nil {
		return err
	}
	release, err := c.lock()
	if err != nil {
		return err
	}
	defer release(false)
	if _, err := os.Stat(c.Kubeconfig()); err != nil {
		return errors.New("restart the node: there is none; run `up` first")
	}
	made, err := c.build(ctx)
	if err != nil {
		return err
	}
	// While the node still runs: nothing that is known now may keep it from booting again.
	access, err := c.hostAccess()
	if err != nil {
		return err
	}
	if err := c.network.CheckLeg(ctx, access); err != nil {
		return err
	}
	before, err := c.deployer(made).Ready(ctx)
	if err != nil {
		return fmt.Errorf("restart the node: it does not run completely; run `up` first: %w", err)
	}
	if err := c.stop(ctx, true); err != nil {
		return err
	}
	c.log.Step("the node has stopped")
	if err := c.boot(ctx, made, nil); err != nil {
		return err
	}
	if err := c.deployer(made).Wait(ctx, 5*time.Minute, before); err != nil {
		return err
	}
	c.log.Step("everything that was Ready before is Ready again")
	return nil
}

// Down removes the cluster and all that it has left on the machine, whatever state it is in.
func (c *Cluster) Down(ctx context.Context) error {
	if err := checkRoot(); err != nil {
		return err
	}
	release, err := c.lock()
	if err != nil {
		return err
	}
	removed := false
	defer func() { release(removed) }()
	if err := c.stop(ctx, false); err != nil {
		return err
	}
	if err := c.network.Down(ctx); err != nil {
		return err
	}
	if err := c.cgroups.Remove(); err != nil {
		return err
	}
	if err := c.removeState(); err != nil {
		return err
	}
	removed = true
	c.log.Step("removed cluster %s", c.options.Name)
	return nil
}

// removeState removes the files that a cluster makes, by name: the folder may be one that holds other things too.
func (c *Cluster) removeState() error {
	created, err := os.ReadFile(filepath.Join(c.options.State, "created"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read which folders were created: %w", err)
	}
	// Deepest first. Only empty ones go: another program may use them by now.
	folders := strings.Fields(string(created))
	slices.SortFunc(folders, func(a, b string) int { return len(b) - len(a) })
	for _, folder := range folders {
		_ = syscall.Rmdir(folder)
	}
	for _, name := range []string{
		"host-access", "host-access.new", "pki", "config", "logs", "etcd", "containerd", "kubelet", "volumes", "images.json", "images.json.new",
		"kubeconfig", "kubeconfig.new", "created.new", "created",
	} {
		path := filepath.Join(c.options.State, name)
		if err := removeAll(path); err != nil {
			return fmt.Errorf("remove the cluster's files: %w", err)
		}
	}
	_ = os.Remove(c.options.State)
	return nil
}

// removeAll waits a little for mounts to go: a mount namespace ends some time after its last process.
func removeAll(path string) error {
	var err error
	for range 50 {
		if err = os.RemoveAll(path); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}
