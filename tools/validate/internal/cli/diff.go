package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/kustomize/api/resource"

	"github.com/ft-services/ft-services/tools/validate/internal/difference"
	"github.com/ft-services/ft-services/tools/validate/internal/git"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

const diffUsage = `Prints, object by object, how the overlays of the working tree render otherwise than those of the
commit at which HEAD left REF: what a pull request against the branch REF does. Files that git does
not track belong to the working tree. Neither it nor the index is touched, and nothing is fetched.

Usage:
  validate diff [flags] REF [path…]

A path is an overlay, or a directory below which overlays lie; without one, those below overlays/ are
compared, here or there. What happens in the same
way in several overlays is printed once. A ConfigMap or Secret with a hash behind its name is compared
with the one whose place it takes. Values of Secrets are not printed.

Examples:
  validate diff origin/main                     what a branch does
  validate diff HEAD overlays/minikube          what is not committed yet does to one overlay
  validate diff -o markdown origin/main > comment.md     for GitHub, cut where its comments end

Flags:
%s
Exit codes:
  0  compared, whether there is a difference or not
  1  there is a difference (with --exit-code)
  2  wrong usage
  3  something could not be rendered, here or there; the others are printed
`

var diffFormats = map[string]func(io.Writer, *difference.Report) error{"text": difference.Text, "markdown": difference.Markdown}

// diff is the command that compares renderings.
func (p Program) diff(args []string) (action, string, error) {
	flags := newFlags()
	format := flags.StringP("output", "o", "text", "`FORMAT`: text or markdown")
	exitCode := flags.Bool("exit-code", false, "exit with 1 when there is a difference")
	help := fmt.Sprintf(diffUsage, flags.FlagUsages())
	if err := parse(flags, args); err != nil {
		return nil, help, err
	}
	if diffFormats[*format] == nil {
		return nil, help, mistake("unknown output format %q; known: %s", *format, strings.Join(slices.Sorted(maps.Keys(diffFormats)), ", "))
	}
	if flags.Arg(0) == "" {
		return nil, help, mistake("diff wants the commit or branch to compare with, as in validate diff origin/main")
	}
	c := comparison{git: p.Git, ref: flags.Arg(0), named: flags.Args()[1:]}
	return func(ctx context.Context, stdout, _ io.Writer) (int, error) {
		report, err := c.run(ctx)
		if err != nil {
			return ExitFailed, err
		}
		if err := diffFormats[*format](stdout, report); err != nil {
			return ExitFailed, err
		}
		switch {
		case len(report.Failures) > 0:
			return ExitFailed, nil
		case *exitCode && len(report.Changes) > 0:
			return ExitViolations, nil
		}
		return ExitClean, nil
	}, help, nil
}

// comparison is one of the working tree with a commit.
type comparison struct {
	git   git.Program
	ref   string
	named []string

	since *since
	tree  string // where the commit's files lie
}

func (c *comparison) run(ctx context.Context) (report *difference.Report, err error) {
	first := overlaysRoot
	if len(c.named) > 0 {
		first = c.named[0]
	}
	if c.since, err = changes(ctx, c.git, c.ref, first); err != nil {
		return nil, err
	}
	if c.tree, err = os.MkdirTemp("", "validate-"); err != nil {
		return nil, fmt.Errorf("making room for the tree of %s: %w", c.since.commit, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.tree)) }()
	if c.tree, err = filepath.EvalSymlinks(c.tree); err != nil {
		return nil, fmt.Errorf("making room for the tree of %s: %w", c.since.commit, err)
	}
	if err := c.since.repository.Extract(ctx, c.since.commit, c.tree); err != nil {
		return nil, err
	}
	pairs, err := c.pairs()
	if err != nil {
		return nil, err
	}
	c.compare(ctx, pairs)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("comparing: %w", context.Cause(ctx))
	}
	report = &difference.Report{Since: c.since.commit.String()}
	for _, each := range pairs {
		report.Add(each.name, each.changes)
		for _, failure := range each.failures {
			report.Failures = append(report.Failures, difference.Failure{Overlay: each.name, Text: failure})
		}
	}
	return report, nil
}

// pair is an overlay here and as it was.
type pair struct {
	name        string
	now, before string // directories, empty when there is none
	changes     []difference.Change
	failures    []string
	alone       bool // it could not be rendered beside others
}

// pairs are the overlays that the change can affect, ordered by name.
func (c *comparison) pairs() ([]*pair, error) {
	named := c.named
	if len(named) == 0 {
		named = []string{overlaysRoot}
	}
	var names []string
	for _, name := range named {
		found, err := c.below(filepath.Clean(name))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: is no overlay and holds none, neither here nor at %s", name, c.since.commit)
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	var pairs []*pair
	for _, name := range slices.Compact(names) {
		each := &pair{name: name}
		before, err := c.was(name)
		if err != nil {
			return nil, err
		}
		if overlay.KustomizationFile(before) != "" {
			each.before = before
		}
		// A directory that has lost its kustomization is no longer an overlay, which is for rendering to say.
		if _, err := os.Stat(name); err == nil {
			each.now = name
		}
		if each.now == "" || each.before == "" || c.since.set.Affects(name) {
			pairs = append(pairs, each)
		}
	}
	return pairs, nil
}

// below returns the overlays that a path means, here and as it was.
func (c *comparison) below(name string) ([]string, error) {
	there, err := c.was(name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, root := range []string{name, there} {
		found, err := overlay.Within(root)
		if err != nil {
			return nil, err
		}
		for _, dir := range found {
			below, err := filepath.Rel(root, dir)
			if err != nil {
				return nil, err
			}
			if overlay.KustomizationFile(dir) != "" {
				names = append(names, filepath.Join(name, below))
			}
		}
	}
	return names, nil
}

// was is where a path of the working tree lies in that of the commit.
func (c *comparison) was(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	root := c.since.repository.Root
	below, err := filepath.Rel(root, absolute)
	if err != nil || !filepath.IsLocal(below) {
		// The working directory may have been reached by a link.
		if absolute, err = realParents(absolute); err != nil {
			return "", err
		}
		below, err = filepath.Rel(root, absolute)
	}
	if err != nil || !filepath.IsLocal(below) {
		return "", fmt.Errorf("%s: lies outside the repository %s", path, root)
	}
	return filepath.Join(c.tree, below), nil
}

// realParents is a path without links as far as it exists.
func realParents(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil || path == filepath.Dir(path) {
		return real, err
	}
	if real, err = realParents(filepath.Dir(path)); err != nil {
		return "", err
	}
	return filepath.Join(real, filepath.Base(path)), nil
}

func (c *comparison) compare(ctx context.Context, pairs []*pair) {
	overlay.Warm()
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, each := range pairs {
		group.Go(func() error {
			each.alone = errors.Is(c.compareOne(ctx, each), overlay.ErrAlone)
			return nil
		})
	}
	_ = group.Wait() // A failure is its overlay's own.
	for _, each := range pairs {
		if each.alone {
			each.failures = nil
			_ = c.compareOne(overlay.Alone(ctx), each) // Noted among its failures.
		}
	}
}

// compareOne notes what is different, or what fails, of which it returns all.
func (c *comparison) compareOne(ctx context.Context, each *pair) error {
	before, errBefore := objects(ctx, each.before)
	if errBefore != nil {
		text := strings.ReplaceAll(errBefore.Error(), c.tree+string(filepath.Separator), "")
		each.failures = append(each.failures, fmt.Sprintf("at %s: %s", c.since.commit, text))
	}
	after, errNow := objects(ctx, each.now)
	if errNow != nil {
		each.failures = append(each.failures, errNow.Error())
	}
	if err := errors.Join(errBefore, errNow); err != nil {
		return err
	}
	var err error
	if each.changes, err = difference.Compare(before, after); err != nil {
		each.failures = append(each.failures, err.Error())
	}
	return err
}

// objects returns those of an overlay, none when there is no overlay.
func objects(ctx context.Context, dir string) ([]*resource.Resource, error) {
	if dir == "" {
		return nil, nil
	}
	rendered, err := overlay.Render(ctx, dir)
	if err != nil {
		return nil, err
	}
	return rendered.Resources(), nil
}
