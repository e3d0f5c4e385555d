// Package build makes the programs and images of the cluster from pinned Go modules, once: what is made lies in a cache
// under a name that stands for everything that went into it, and appears there whole or not at all.
package build

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/ft-services/ft-services/tools/cluster/internal/progress"
)

// Cache is the folder of what was made.
type Cache struct {
	// Dir is the folder; Repository is the repository's root.
	Dir, Repository string
	Log             *progress.Log
}

// Program is a Go program.
type Program struct {
	Name string
	// Module is the folder of its module, Package what to build there, Sources what it is built from beside its
	// dependencies; all relative to the repository's root.
	Module, Package string
	Sources         []string
	// Flags are further flags of go build.
	Flags []string
	// Links are further names for the program, for one that looks at how it is called.
	Links []string
	// Hint tells how long it takes.
	Hint string
}

// Program returns the path of a built program.
func (c *Cache) Program(ctx context.Context, program Program) (string, error) {
	digest := newDigest("program", program.Package, program.Flags, program.Links, runtime.Version(), runtime.GOARCH)
	for _, source := range program.Sources {
		if err := digest.tree(filepath.Join(c.Repository, source)); err != nil {
			return "", fmt.Errorf("build %s: %w", program.Name, err)
		}
	}
	dir, err := c.entry(ctx, program.Name, digest, program.Hint, func(dir string) error {
		args := slices.Concat([]string{"build", "-mod=readonly", "-trimpath", "-buildvcs=false"}, program.Flags,
			[]string{"-o", filepath.Join(dir, program.Name), program.Package})
		if err := c.run(ctx, program.Module, args...); err != nil {
			return err
		}
		for _, link := range program.Links {
			if err := os.Symlink(program.Name, filepath.Join(dir, link)); err != nil {
				return err
			}
		}
		return nil
	})
	return filepath.Join(dir, program.Name), err
}

// Image returns the path of an archive with an image that holds one static program and nothing else.
func (c *Cache) Image(ctx context.Context, image, program string) (string, error) {
	// The program's folder in the cache stands for its content.
	digest := newDigest("image", image, filepath.Base(filepath.Dir(program)))
	base := filepath.Base(program)
	dir, err := c.entry(ctx, base+"-image", digest, "", func(dir string) error {
		data, err := os.ReadFile(program)
		if err != nil {
			return err
		}
		return writeImage(filepath.Join(dir, base+".tar"), image, base, data)
	})
	return filepath.Join(dir, base+".tar"), err
}

func writeImage(path, image, program string, data []byte) error {
	tag, err := name.NewTag(image)
	if err != nil {
		return fmt.Errorf("image name %q: %w", image, err)
	}
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	header := &tar.Header{Name: program, Mode: 0o755, Size: int64(len(data)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if _, err := archive.Write(data); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files.Bytes())), nil
	})
	if err != nil {
		return err
	}
	built, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	config, err := built.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Entrypoint = []string{"/" + program}
	if built, err = mutate.ConfigFile(built, config); err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, built)
}

// Manifests returns the path of a file with the rendered kustomization of a folder of a Go module, which the nested
// module in the given folder requires.
func (c *Cache) Manifests(ctx context.Context, nested, module, folder string) (string, error) {
	digest := newDigest("manifests", module, folder)
	for _, file := range []string{"go.mod", "go.sum"} {
		if err := digest.tree(filepath.Join(c.Repository, nested, file)); err != nil {
			return "", fmt.Errorf("render %s: %w", module, err)
		}
	}
	label := filepath.Base(module) + "-manifests"
	dir, err := c.entry(ctx, label, digest, "", func(dir string) error {
		if err := c.run(ctx, nested, "mod", "download", module); err != nil {
			return err
		}
		cmd := c.command(ctx, nested, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module)
		output, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("find module %s: %w", module, err)
		}
		source := filepath.Join(strings.TrimSpace(string(output)), folder)
		rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), source)
		if err != nil {
			return fmt.Errorf("render %s: %w", source, err)
		}
		text, err := rendered.AsYaml()
		if err != nil {
			return fmt.Errorf("render %s: %w", source, err)
		}
		return os.WriteFile(filepath.Join(dir, "manifests.yaml"), text, 0o644)
	})
	return filepath.Join(dir, "manifests.yaml"), err
}

// RequiredVersion reads the version of a module that a go.mod requires.
func RequiredVersion(gomod []byte, module string) (string, error) {
	found := regexp.MustCompile(`(?m)^\s*(?:require\s+)?` + regexp.QuoteMeta(module) + `\s+(v\S+)`).FindSubmatch(gomod)
	if found == nil {
		return "", fmt.Errorf("find the version of %s: go.mod does not require it", module)
	}
	return string(found[1]), nil
}

// entry returns the folder of a thing, and makes it if it is not there.
func (c *Cache) entry(ctx context.Context, label string, digest *digest, hint string, fill func(dir string) error) (string, error) {
	final := filepath.Join(c.Dir, fmt.Sprintf("%s-%x", label, digest.hash.Sum(nil)[:8]))
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	fail := func(err error) (string, error) { return "", fmt.Errorf("build %s: %w", label, err) }
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fail(err)
	}
	// One at a time: two builds of one thing would only slow each other down.
	lock, err := os.OpenFile(filepath.Join(c.Dir, "."+label+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fail(err)
	}
	defer lock.Close()
	if err := waitLock(ctx, lock); err != nil {
		return fail(err)
	}
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	c.Log.Step("building %s%s", label, hint)
	stop := c.heartbeat(label)
	defer stop()
	work := filepath.Join(c.Dir, "."+label+".new")
	// What a run that was killed has left.
	if err := os.RemoveAll(work); err != nil {
		return fail(err)
	}
	if err := os.Mkdir(work, 0o755); err != nil {
		return fail(err)
	}
	if err := fill(work); err != nil {
		return fail(errors.Join(err, os.RemoveAll(work)))
	}
	if err := os.Rename(work, final); err != nil {
		return fail(err)
	}
	return final, nil
}

// waitLock takes the lock, for as long as the context lasts.
func waitLock(ctx context.Context, file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (c *Cache) heartbeat(label string) (stop func()) {
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(time.Minute)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				c.Log.Step("still building %s", label)
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

func (c *Cache) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(c.Repository, dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	// The compiler's processes end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (c *Cache) run(ctx context.Context, dir string, args ...string) error {
	output, err := c.command(ctx, dir, args...).CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	if len(lines) > 15 {
		lines = lines[len(lines)-15:]
	}
	return fmt.Errorf("go %s in %s: %w:\n    %s", strings.Join(args, " "), dir, err, strings.Join(lines, "\n    "))
}

type digest struct{ hash hash.Hash }

func newDigest(parts ...any) *digest {
	d := &digest{sha256.New()}
	fmt.Fprintf(d.hash, "%q\n", parts)
	return d
}

// tree adds a file, or all files below a folder that go into a build.
func (d *digest) tree(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.hash, "%q %x\n", relative, sha256.Sum256(data))
		return nil
	})
}
