// Package git asks the git program what a change touches and what the tree was before it. It changes
// neither the working tree nor the index, and fetches nothing.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Program is the git program of this machine.
type Program struct {
	path string
	env  []string
	err  error // why there is none
}

// Find looks git up. Call it before offline.Enter, which leaves no PATH to find it on.
func Find() Program {
	path, err := exec.LookPath("git")
	return Program{path: path, env: environment(os.Environ()), err: err}
}

// environment is what git runs with.
func environment(outer []string) []string {
	// Within a hook these name the repository that it is for, and its index; here the directory decides.
	env := slices.DeleteFunc(slices.Clone(outer), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE"}, name)
	})
	return append(env,
		"LC_ALL=C",
		// No protocol at all: a partial clone would fetch what it lacks.
		"GIT_ALLOW_PROTOCOL=none", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_OPTIONAL_LOCKS=0", // The index is not refreshed on disk.
	)
}

// Repository is a working tree of git.
type Repository struct {
	// Root is its top level, absolute and without links.
	Root string

	program Program
}

// Open returns the repository that holds dir, or where dir was.
func (p Program) Open(ctx context.Context, dir string) (*Repository, error) {
	if p.err != nil {
		return nil, fmt.Errorf("looking for git: %w; install git", p.err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for the repository of %s: %w", dir, err)
	}
	for !isDir(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	r := &Repository{Root: dir, program: p}
	text, err := r.output(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, fmt.Errorf("looking for the repository of %s: %w", dir, err)
	}
	root := strings.TrimSuffix(string(text), "\n")
	if r.Root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, fmt.Errorf("looking for the repository of %s: %w", dir, err)
	}
	return r, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Commit is a commit and how it was named.
type Commit struct {
	Ref  string
	Hash string
}

// String is the name for people.
func (c Commit) String() string {
	short := c.Hash[:min(len(c.Hash), 10)]
	if strings.HasPrefix(c.Hash, c.Ref) {
		return short
	}
	return fmt.Sprintf("%s (%s)", c.Ref, short)
}

const deepen = "in a shallow clone fetch it first: `git fetch --unshallow`, or fetch-depth: 0 for actions/checkout"

// Base returns the commit at which the history of HEAD left that of ref: what came to ref since is no
// part of the change.
func (r *Repository) Base(ctx context.Context, ref string) (Commit, error) {
	commit, err := r.resolve(ctx, ref)
	if err != nil {
		return Commit{}, err
	}
	head, err := r.resolve(ctx, "HEAD")
	if err != nil {
		return Commit{}, err
	}
	text, err := r.output(ctx, "merge-base", commit, head)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return Commit{}, fmt.Errorf("%s: %s and HEAD have no commit in common; %s", r.Root, ref, deepen)
	}
	if err != nil {
		return Commit{}, fmt.Errorf("looking for what %s and HEAD have in common: %w", ref, err)
	}
	return Commit{Ref: ref, Hash: strings.TrimSpace(string(text))}, nil
}

func (r *Repository) resolve(ctx context.Context, ref string) (string, error) {
	text, err := r.output(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", fmt.Errorf("%s: %q names no commit here; `git log` lists them, and %s", r.Root, ref, deepen)
	}
	return strings.TrimSpace(string(text)), nil
}

// Changed returns the absolute paths in which the working tree differs from a commit: what was
// changed, added and removed since, and every file that git does not track, even an ignored one, for
// of those it does not know. A path may be a directory: a submodule, or another repository.
func (r *Repository) Changed(ctx context.Context, since Commit) ([]string, error) {
	var changed []string
	for _, args := range [][]string{
		// Not the plumbing: diff-index takes a file for changed that was only touched.
		{"diff", "--name-only", "-z", "--no-renames", "--no-relative", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", since.Hash, "--"},
		{"ls-files", "-z", "--others", "--directory"}, // A directory without a tracked file is one line.
	} {
		text, err := r.output(ctx, args...)
		if err != nil {
			return nil, fmt.Errorf("looking for what changed since %s: %w", since, err)
		}
		for path := range strings.SplitSeq(string(text), "\x00") {
			if path != "" {
				changed = append(changed, filepath.Join(r.Root, filepath.FromSlash(path)))
			}
		}
	}
	slices.Sort(changed)
	return slices.Compact(changed), nil
}

// Matching returns the absolute paths of the files of some names, globs, that had a line at a commit which
// an extended regular expression matches.
func (r *Repository) Matching(ctx context.Context, at Commit, expression string, names ...string) ([]string, error) {
	args := []string{"grep", "-l", "-z", "-E", "--full-name", "-e", expression, at.Hash, "--"}
	for _, name := range names {
		args = append(args, ":(glob)**/"+name)
	}
	found, err := r.output(ctx, args...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking through the files of %s: %w", at, err)
	}
	var paths []string
	for path := range strings.SplitSeq(string(found), "\x00") {
		if _, path, named := strings.Cut(path, ":"); named {
			paths = append(paths, filepath.Join(r.Root, filepath.FromSlash(path)))
		}
	}
	return paths, nil
}

// output runs git at the root and returns what it prints. An error holds what git says.
func (r *Repository) output(ctx context.Context, args ...string) ([]byte, error) {
	var stdout bytes.Buffer
	err := r.run(ctx, nil, &stdout, args...)
	return stdout.Bytes(), err
}

func (r *Repository) run(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) error {
	command := exec.CommandContext(ctx, r.program.path, append([]string{
		"-C", r.Root,
		"-c", "core.fsmonitor=false", "-c", "diff.autoRefreshIndex=true",
	}, args...)...)
	var stderr bytes.Buffer
	command.Env = r.program.env
	command.Stdin, command.Stdout, command.Stderr = stdin, stdout, &stderr
	command.WaitDelay = 5 * time.Second // A child of git may keep the pipes.
	if err := command.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		said := strings.Join(strings.Fields(stderr.String()), " ")
		if said == "" {
			return fmt.Errorf("git %s: %w", args[0], err)
		}
		return fmt.Errorf("git %s: %w: %s", args[0], err, said)
	}
	return nil
}
