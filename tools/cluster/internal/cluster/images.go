package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ft-services/ft-services/tools/cluster/internal/deploy"
	"github.com/ft-services/ft-services/tools/cluster/internal/node"
	"github.com/ft-services/ft-services/tools/cluster/internal/progress"
)

func (c *Cluster) ctr(ctx context.Context, args ...string) ([]byte, error) {
	args = append([]string{"--address=" + c.node(nil).Socket(), "--namespace=k8s.io"}, args...)
	cmd := exec.CommandContext(ctx, "ctr", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ctr %s: %w: %s", strings.Join(args[2:], " "), err, strings.TrimSpace(stderr.String()))
	}
	return output, nil
}

// loadOwn waits for containerd and gives it the images of the cluster's own pods.
func (c *Cluster) loadOwn(ctx context.Context, archives map[string]string) error {
	err := progress.Until(ctx, "containerd", 30*time.Second, 100*time.Millisecond, func(ctx context.Context) error {
		if err := c.processes.Dead(); err != nil {
			return progress.Stop(err)
		}
		_, err := c.ctr(ctx, "version")
		return err
	})
	if err != nil {
		return fmt.Errorf("%w\nthe end of its log:\n%s", err, c.processes.Tail(node.Containerd, 12))
	}
	return c.importImages(ctx, archives)
}

func (c *Cluster) presentImages(ctx context.Context) ([]string, error) {
	output, err := c.ctr(ctx, "images", "list", "--quiet")
	if err != nil {
		return nil, fmt.Errorf("list the node's images: %w", err)
	}
	return strings.Fields(string(output)), nil
}

// importImages puts archives into the node; those that were put there before and have not changed are left out.
func (c *Cluster) importImages(ctx context.Context, archives map[string]string) error {
	present, err := c.presentImages(ctx)
	if err != nil {
		return err
	}
	record := filepath.Join(c.options.State, "images.json")
	imported := map[string]string{}
	data, err := os.ReadFile(record)
	if err == nil {
		err = json.Unmarshal(data, &imported)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read which images were imported: %w; remove %s to have them imported again", err, record)
	}
	for _, image := range slices.Sorted(maps.Keys(archives)) {
		file := archives[image]
		info, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("import image %s: %w", image, err)
		}
		version := fmt.Sprintf("%s %d %d", file, info.Size(), info.ModTime().UnixNano())
		if imported[image] == version && slices.Contains(present, image) {
			continue
		}
		if _, err := c.ctr(ctx, "images", "import", file); err != nil {
			return fmt.Errorf("import image %s: %w", image, err)
		}
		imported[image] = version
		data, err := json.MarshalIndent(imported, "", "  ")
		if err != nil {
			return fmt.Errorf("record the import of %s: %w", image, err)
		}
		if err := writeFile(record, data); err != nil {
			return err
		}
		c.log.Step("imported %s", image)
	}
	return nil
}

// Load imports archives; without any, all that were built.
func (c *Cluster) Load(ctx context.Context, files []string) error {
	release, err := c.lock()
	if err != nil {
		return err
	}
	defer release(false)
	if _, ok := c.processes.Running(node.Containerd); !ok {
		return errors.New("load images: containerd does not run; run `up` first")
	}
	if len(files) == 0 {
		if files, err = filepath.Glob(filepath.Join(c.images(), "*.oci.tar")); err != nil {
			return fmt.Errorf("find images: %w", err)
		}
		if len(files) == 0 {
			return fmt.Errorf("load images: there is none in %s; build them first (make images)", c.images())
		}
	}
	archives := map[string]string{}
	for _, file := range files {
		absolute, err := filepath.Abs(file)
		if err != nil {
			return fmt.Errorf("load %s: %w", file, err)
		}
		tags, err := deploy.Tags(absolute)
		if err != nil {
			return err
		}
		if len(tags) == 0 {
			return fmt.Errorf("load %s: the archive names no image", file)
		}
		archives[tags[0]] = absolute
	}
	return c.importImages(ctx, archives)
}
