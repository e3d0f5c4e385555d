package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ft-services/ft-services/tools/validate/internal/synthetic"
)

// What the validator is compared with.
const (
	kustomizeModule = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.2"
	conftestModule  = "github.com/open-policy-agent/conftest@v0.71.1"
)

type programs struct{ validate, kustomize, conftest string }

// programs returns absolute paths, and builds what was not given.
func (o options) programs(ctx context.Context) (programs, error) {
	bin, err := filepath.Abs(filepath.Join(o.cache, "bin"))
	if err != nil {
		return programs{}, fmt.Errorf("finding %s: %w", o.cache, err)
	}
	p := programs{o.validate, o.kustomize, o.cft}
	for _, each := range []struct {
		path *string
		name string
		args []string
		keep bool // a pinned version stays what it is
	}{
		{&p.validate, "validate", []string{"build", "-o", filepath.Join(bin, "validate"), "./tools/validate"}, false},
		{&p.kustomize, "kustomize", []string{"install", kustomizeModule}, true},
		{&p.conftest, "conftest", []string{"install", conftestModule}, true},
	} {
		if *each.path == "" && !slices.Contains(o.skip, each.name) {
			*each.path = filepath.Join(bin, each.name)
			if _, err := os.Stat(*each.path); err != nil || !each.keep {
				build := exec.CommandContext(ctx, "go", each.args...)
				build.Env = append(os.Environ(), "GOBIN="+bin)
				if output, err := build.CombinedOutput(); err != nil {
					return programs{}, fmt.Errorf("building %s: %w\n%s", each.name, err, output)
				}
			}
		}
		if *each.path, err = filepath.Abs(*each.path); err != nil {
			return programs{}, fmt.Errorf("finding %s: %w", each.name, err)
		}
	}
	return p, nil
}

// Usage is what a contender took.
type Usage struct {
	Wall time.Duration `json:"wallNanoseconds"`
	CPU  time.Duration `json:"cpuNanoseconds"` // user and system
	Peak int64         `json:"peakBytes"`      // of the largest process
}

// contender is one way to do the work on a tree.
type contender struct {
	name string
	dir  string
	run  func(ctx context.Context, dir string) (Usage, error)
}

// contenders returns ours, which comes first, and the others.
func (p programs) contenders(ctx context.Context, clean, broken string, size synthetic.Size, skip []string) []contender {
	all := []contender{
		{ours, clean, func(ctx context.Context, dir string) (Usage, error) {
			return process(ctx, dir, 0, p.validate)
		}},
		{"validate, one finding", broken, func(ctx context.Context, dir string) (Usage, error) {
			return process(ctx, dir, 1, p.validate)
		}},
		{"kustomize build", clean, func(ctx context.Context, dir string) (Usage, error) {
			return eachOverlay(size, func(overlay string) (Usage, error) {
				return process(ctx, dir, 0, p.kustomize, "build", overlay)
			})
		}},
		{"kustomize build \\| conftest test", clean, func(ctx context.Context, dir string) (Usage, error) {
			return eachOverlay(size, func(overlay string) (Usage, error) {
				return p.pipe(ctx, dir, 0, overlay)
			})
		}},
	}
	if p.knowsChanged(ctx) {
		all = append(all, contender{"validate --changed, one file of one overlay", clean, func(ctx context.Context, dir string) (Usage, error) {
			return process(ctx, dir, 0, p.validate, "--changed=HEAD")
		}})
	}
	return slices.DeleteFunc(all, func(c contender) bool {
		return slices.ContainsFunc(skip, func(name string) bool { return strings.Contains(c.name, name) })
	})
}

const ours = "validate"

// Result is what one size comes to.
type Result struct {
	Size    string             `json:"size"`
	Objects int                `json:"objects"`
	Usages  map[string][]Usage `json:"usages"` // of each contender, by round
	names   []string
}

// measure makes two trees, one of them with a finding, and lets all contenders run on them in turn.
func (p programs) measure(ctx context.Context, dir string, size synthetic.Size, o options) (Result, error) {
	clean, broken := filepath.Join(dir, "clean"), filepath.Join(dir, "broken")
	for _, tree := range []string{clean, broken} {
		if err := errors.Join(synthetic.Write(tree, size), synthetic.AddPolicies(tree, o.policies)); err != nil {
			return Result{}, err
		}
	}
	if err := synthetic.Break(broken, size); err != nil {
		return Result{}, err
	}
	if err := changeOne(ctx, clean); err != nil {
		return Result{}, err
	}
	contenders := p.contenders(ctx, clean, broken, size, o.skip)
	// That both find what there is to find shows that both check the same; it warms the disk cache, too.
	if !slices.Contains(o.skip, "conftest") {
		last := filepath.Join(synthetic.OverlaysDir, synthetic.OverlayName(size.Overlays-1))
		if _, err := p.pipe(ctx, broken, 1, last); err != nil {
			return Result{}, fmt.Errorf("conftest does not find what is broken: %w", err)
		}
	}
	result := Result{Size: size.String(), Objects: size.Objects(), Usages: map[string][]Usage{}}
	for _, each := range contenders {
		result.names = append(result.names, each.name)
	}
	for range o.pairs {
		for _, each := range contenders {
			usage, err := each.run(ctx, each.dir)
			if ctx.Err() != nil {
				return Result{}, context.Cause(ctx)
			}
			if err != nil {
				return Result{}, fmt.Errorf("%s: %w", each.name, err)
			}
			result.Usages[each.name] = append(result.Usages[each.name], usage)
		}
	}
	return result, nil
}

// changeOne commits the tree and changes a file that one overlay reads, for --changed.
func changeOne(ctx context.Context, dir string) error {
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"add", "--all"},
		{"-c", "user.name=benchmark", "-c", "user.email=benchmark@example.com", "commit", "--quiet", "--message=tree"},
	} {
		command := exec.CommandContext(ctx, "git", args...)
		command.Dir = dir
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, output)
		}
	}
	file, err := os.OpenFile(synthetic.PatchFile(dir, 0), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("changing a file: %w", err)
	}
	_, err = file.WriteString("# changed\n")
	return errors.Join(err, file.Close())
}

// knowsChanged tells whether the validator that is measured has the flag --changed.
func (p programs) knowsChanged(ctx context.Context) bool {
	help, err := exec.CommandContext(ctx, p.validate, "--help").Output()
	return err == nil && bytes.Contains(help, []byte("--changed"))
}

func eachOverlay(size synthetic.Size, build func(overlay string) (Usage, error)) (Usage, error) {
	var sum Usage
	for i := range size.Overlays {
		usage, err := build(filepath.Join(synthetic.OverlaysDir, synthetic.OverlayName(i)))
		if err != nil {
			return Usage{}, err
		}
		sum = Usage{sum.Wall + usage.Wall, sum.CPU + usage.CPU, max(sum.Peak, usage.Peak)}
	}
	return sum, nil
}

// process runs a program, which must exit as expected.
func process(ctx context.Context, dir string, exit int, program string, args ...string) (Usage, error) {
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, program, args...)
	command.Dir, command.Stdout, command.Stderr = dir, &stdout, &stderr
	start := time.Now()
	err := command.Run()
	wall := time.Since(start)
	if err := expect(command, err, exit); err != nil {
		return Usage{}, fmt.Errorf("%w\n%s%s", err, tail(stdout.Bytes()), tail(stderr.Bytes()))
	}
	return usage(wall, command), nil
}

// pipe runs kustomize and conftest as a shell's pipe would.
func (p programs) pipe(ctx context.Context, dir string, exit int, overlay string) (Usage, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return Usage{}, err
	}
	var output bytes.Buffer
	build := exec.CommandContext(ctx, p.kustomize, "build", overlay)
	build.Dir, build.Stdout = dir, writer
	test := exec.CommandContext(ctx, p.conftest, "test", "--all-namespaces", "--no-color",
		"--policy", synthetic.PoliciesDir, "--data", filepath.Join(synthetic.PoliciesDir, "facts.yaml"), "--parser", "yaml", "-")
	test.Dir, test.Stdin, test.Stdout, test.Stderr = dir, reader, &output, &output
	start := time.Now()
	err = errors.Join(build.Start(), test.Start())
	reader.Close()
	writer.Close()
	if err != nil {
		return Usage{}, err
	}
	buildErr, testErr := build.Wait(), test.Wait()
	wall := time.Since(start)
	if err := errors.Join(expect(build, buildErr, 0), expect(test, testErr, exit)); err != nil {
		return Usage{}, fmt.Errorf("%w\n%s", err, tail(output.Bytes()))
	}
	return usage(wall, build, test), nil
}

func expect(command *exec.Cmd, err error, exit int) error {
	var failure *exec.ExitError
	if err != nil && !errors.As(err, &failure) {
		return err
	}
	if code := command.ProcessState.ExitCode(); code != exit {
		return fmt.Errorf("%s exits with %d, not %d", filepath.Base(command.Path), code, exit)
	}
	return nil
}

func usage(wall time.Duration, commands ...*exec.Cmd) Usage {
	total := Usage{Wall: wall}
	for _, command := range commands {
		total.CPU += command.ProcessState.UserTime() + command.ProcessState.SystemTime()
		if resources, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
			total.Peak = max(total.Peak, resources.Maxrss<<10)
		}
	}
	return total
}

// tail is the end of an output, for an error.
func tail(output []byte) string {
	const most = 2000
	if len(output) > most {
		output = output[len(output)-most:]
	}
	return string(output)
}
