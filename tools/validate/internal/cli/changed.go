package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/ft-services/ft-services/tools/validate/internal/change"
	"github.com/ft-services/ft-services/tools/validate/internal/git"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// changedSince is what --changed compares with when it names nothing: in a pull request of GitHub the
// branch that it is for, else the last commit.
// Source: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
func changedSince() string {
	if branch := os.Getenv("GITHUB_BASE_REF"); branch != "" {
		return "origin/" + branch
	}
	return "HEAD"
}

// checkRef refuses what would let a run pass that has looked at nothing, and a name that was meant as
// the ref.
func checkRef(ref string, overlays []string) error {
	for _, name := range overlays {
		if _, err := os.Stat(name); ref == changedSince() && errors.Is(err, fs.ErrNotExist) {
			return mistake("%s: no such directory; for what has changed since it, write --changed=%s", name, name)
		}
	}
	switch {
	case ref == "":
		return mistake("--changed= names nothing; write --changed, or --changed=REF")
	case ref == "HEAD" && os.Getenv("CI") == "true":
		return mistake("--changed compares with HEAD, which holds the whole change when CI runs outside of a pull request; name the commit before it, as in --changed=HEAD~1")
	}
	return nil
}

// since is what a change touches since a commit.
type since struct {
	repository *git.Repository
	commit     git.Commit
	set        *change.Set
}

// changes finds out what was changed since ref in the repository that the first overlay lies in.
func changes(ctx context.Context, program git.Program, ref, overlay string) (*since, error) {
	repository, err := program.Open(ctx, overlay)
	if err != nil {
		return nil, err
	}
	commit, err := repository.Base(ctx, ref)
	if err != nil {
		return nil, err
	}
	paths, err := repository.Changed(ctx, commit)
	if err != nil {
		return nil, err
	}
	return &since{repository, commit, change.NewSet(repository.Root, paths)}, nil
}

// affected are those of the overlays that the change can affect. They were named, or found below roots.
func (s *since) affected(overlays, roots []string) []string {
	return slices.DeleteFunc(slices.Clone(overlays), func(dir string) bool {
		return !s.set.Affects(dir) && !slices.ContainsFunc(roots, func(root string) bool {
			below, err := filepath.Rel(root, dir)
			return err == nil && below != "." && filepath.IsLocal(below) && s.set.Uncovered(filepath.Clean(root), dir)
		})
	})
}

// narrow leaves of the overlays those that must be checked, and says to stderr which that are.
func (o options) narrow(ctx context.Context, overlays []string, stderr io.Writer) ([]string, error) {
	s, err := changes(ctx, o.git, o.changed, overlays[0])
	if err != nil {
		return nil, fmt.Errorf("--changed: %w", err)
	}
	cause, err := o.ofAll(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("--changed: %w", err)
	}
	if cause != "" {
		fmt.Fprintf(stderr, "validate: all overlays are checked: %s (since %s)\n", cause, s.commit)
		return overlays, nil
	}
	roots := o.overlays
	if len(roots) == 0 {
		roots = []string{overlaysRoot}
	}
	affected := s.affected(overlays, roots)
	if len(affected) == 0 {
		fmt.Fprintf(stderr, "validate: nothing to check: no overlay reads what has changed since %s\n", s.commit)
	} else {
		fmt.Fprintf(stderr, "validate: %d of %d overlays read what has changed since %s\n", len(affected), len(overlays), s.commit)
	}
	return affected, nil
}

// ofAll says what has changed that may change the verdict on every overlay; empty when nothing has.
func (o options) ofAll(ctx context.Context, s *since) (string, error) {
	anything := func(string) bool { return true }
	// What defined a kind may be gone, with its file or from a kustomization, and any overlay may use it.
	defined, err := s.repository.Matching(ctx, s.commit, `kind["']?:[[:space:]]*["']?`+schema.DefinitionKind, "*.yaml", "*.yml", "*.json")
	if err != nil {
		return "", err
	}
	defined = slices.DeleteFunc(defined, inTestdata)
	if cause := s.set.Among(defined); cause != "" {
		return cause, nil
	}
	if cause := s.set.Kustomization(); cause != "" && len(defined) > 0 {
		return cause + ", and kinds are defined in this repository", nil
	}
	if cause := s.set.Cause(o.folder.beside(), func(path string) bool {
		return !strings.HasSuffix(path, "_test.rego") && filepath.Ext(path) != ".md" && !inTestdata(path)
	}); cause != "" {
		return cause, nil
	}
	for _, path := range slices.Concat([]string{o.folder.facts, o.waivers}, o.folder.conftest.Data, o.crds) {
		if path == "" {
			continue
		}
		if cause := s.set.Cause(path, anything); cause != "" {
			return cause, nil
		}
	}
	for _, path := range validatorsOwn(s.repository.Root) {
		cause := s.set.Cause(path, func(path string) bool {
			return !strings.HasSuffix(path, "_test.go") && filepath.Ext(path) != ".md" && !inTestdata(path)
		})
		if cause != "" {
			return cause, nil
		}
	}
	return "", nil
}

func inTestdata(path string) bool {
	return slices.Contains(strings.Split(filepath.ToSlash(path), "/"), "testdata")
}

// validatorsOwn are the paths that the validator is built from, when the repository is its own.
func validatorsOwn(root string) []string {
	built, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	module := filepath.Join(root, "go.mod")
	text, err := os.ReadFile(module)
	if err != nil || !slices.ContainsFunc(bytes.Split(text, []byte("\n")), func(line []byte) bool {
		return string(bytes.TrimSpace(line)) == "module "+built.Main.Path
	}) {
		return nil
	}
	paths := []string{module, filepath.Join(root, "go.sum")}
	if dir, below := strings.CutPrefix(strings.TrimSuffix(built.Path, ".test"), built.Main.Path+"/"); below {
		paths = append(paths, filepath.Join(root, filepath.FromSlash(dir)))
	}
	return paths
}
