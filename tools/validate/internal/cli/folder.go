package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/spf13/pflag"

	"github.com/ft-services/ft-services/policies"
	"github.com/ft-services/ft-services/tools/validate/internal/check"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

const (
	// policiesDir is where policies, facts and waivers are looked for when no flag names them.
	policiesDir = "policies"
	// embedded stands for the policies that this program carries; a directory of that name is ./embedded.
	embedded = "embedded"
)

// folder is what the flags say of the policies.
type folder struct {
	dir         string // empty: policiesDir if it holds policies, else the embedded ones
	facts       string
	regoVersion string
	conftest    policy.Conftest
}

// regoVersions are the values of --rego-version.
var regoVersions = map[string]ast.RegoVersion{"v0": ast.RegoV0, "v1": ast.RegoV1}

func (f *folder) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&f.dir, "policies", "", "`directory` of the policies, ours or conftest's, or \""+embedded+"\" (default: "+policiesDir+", or those embedded when it holds no Rego)")
	flags.StringVar(&f.facts, "facts", "", "`file` of the project's facts (default: "+policy.FactsFile+" among the policies, with those embedded "+filepath.Join(policiesDir, policy.FactsFile)+", if there is one)")
	flags.StringArrayVar(&f.conftest.Namespaces, "namespace", nil, "conftest's policies: the `PACKAGE` of the rules, a glob; repeatable (default: main)")
	flags.BoolVar(&f.conftest.AllNamespaces, "all-namespaces", false, "conftest's policies: the rules of every package")
	f.addDataTo(flags)
}

func (f *folder) addDataTo(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.conftest.Data, "data", nil, "conftest's policies: `PATH` of YAML or JSON that they see as data; repeatable")
	flags.StringVar(&f.regoVersion, "rego-version", "v1", "`VERSION` of Rego that the policies are written in: v0 or v1")
}

// check finds values that mean nothing, and such that exclude each other.
func (f *folder) check() error {
	if _, known := regoVersions[strings.ToLower(f.regoVersion)]; !known {
		return mistake("unknown version %q for --rego-version; known: v0, v1", f.regoVersion)
	}
	if f.conftest.AllNamespaces && len(f.conftest.Namespaces) > 0 {
		return mistake("--namespace and --all-namespaces exclude each other")
	}
	return nil
}

func (f *folder) source() policy.Folder {
	return policy.Folder{
		Dir:         cmp.Or(f.dir, policiesDir),
		Facts:       f.facts,
		RegoVersion: regoVersions[strings.ToLower(f.regoVersion)],
		Conftest:    f.conftest,
	}
}

// load reads the policies, and says on stderr when they are those embedded because there are no others.
func (f *folder) load(stderr io.Writer) (*policy.Set, error) {
	source := f.source()
	carried := f.dir == embedded
	if f.dir == "" {
		own, err := holdsRego(policiesDir)
		if err != nil {
			return nil, err
		}
		if carried = !own; carried {
			fmt.Fprintf(stderr, "validate: %s holds no policy: checking with those embedded\n", policiesDir+string(filepath.Separator))
		}
	}
	if carried {
		source.Dir, source.FS = embedded, policies.Files
		source.RegoVersion = ast.RegoV1
		facts := filepath.Join(policiesDir, policy.FactsFile)
		if _, err := os.Lstat(facts); source.Facts == "" && err == nil {
			source.Facts = facts
		}
	}
	set, err := source.Load()
	if err != nil {
		return nil, err
	}
	return set, f.fits(set)
}

// fits refuses flags that would have no effect.
func (f *folder) fits(set *policy.Set) error {
	for _, each := range []struct {
		flag          string
		set, conftest bool
	}{
		{"--facts", f.facts != "", false},
		{"--namespace", len(f.conftest.Namespaces) > 0, true},
		{"--all-namespaces", f.conftest.AllNamespaces, true},
		{"--data", len(f.conftest.Data) > 0, true},
	} {
		if each.set && each.conftest != set.IsConftest() {
			kind := map[bool]string{true: "conftest's, and take --data", false: "packages policies.<category>.<name>, and take --facts"}[set.IsConftest()]
			return mistake("%s does not apply: the policies are %s", each.flag, kind)
		}
	}
	return nil
}

// beside is the directory of the facts and the waivers.
func (f *folder) beside() string {
	if f.dir == embedded {
		return policiesDir
	}
	return cmp.Or(f.dir, policiesDir)
}

// holdsRego tells whether a directory holds a Rego file; one that does not exist holds none.
func holdsRego(dir string) (bool, error) {
	found := false
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if found = !entry.IsDir() && filepath.Ext(name) == ".rego"; found {
			return fs.SkipAll
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("looking for policies in %s: %w", dir, err)
	}
	return found, nil
}

// sayIdle names on stderr what is not checked for want of a fact: silence would look like a promise kept.
func sayIdle(set *policy.Set, selection check.Selection, stderr io.Writer) {
	var idle []string
	for _, each := range set.Idle() {
		if selection.Has(each.Name) {
			idle = append(idle, fmt.Sprintf("%s (%s)", each.Name, strings.Join(each.Facts, ", ")))
		}
	}
	if len(idle) > 0 {
		fmt.Fprintf(stderr, "validate: not checked, for want of these facts: %s\n", strings.Join(idle, ", "))
	}
}
