// Package policy loads Rego policies from a folder and evaluates them against the objects of an
// overlay. It knows nothing of any single policy: a policy is a package policies.<category>.<name>
// with a partial set rule `deny`, and every Rego file outside the folder's lib/ must be one. A folder
// without such a package is one of conftest's, whose policies are rules.
package policy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/regular"
)

// Severities of a policy.
const (
	SeverityError   = "error"   // a finding fails the run
	SeverityWarning = "warning" // a finding is reported and does not fail the run
)

// Policy is what the METADATA of a policy's package says.
type Policy struct {
	Name             string   `json:"name"` // category/policy
	Title            string   `json:"title"`
	Description      string   `json:"description"`
	Severity         string   `json:"severity"`
	Remediation      string   `json:"remediation"`
	Requirements     []string `json:"requirements"`
	RelatedResources []string `json:"relatedResources,omitempty"`
	// Facts are those without which the policy means nothing; then it is not evaluated.
	Facts []string `json:"facts,omitempty"`
	// Specific policies mean nothing outside their project and are not embedded.
	Specific bool   `json:"specific,omitempty"`
	File     string `json:"file"`

	untitled bool // has a title that nobody wrote
}

// Set is a compiled folder of policies. It may be used by several goroutines.
type Set struct {
	policies map[string]*Policy
	compiler *ast.Compiler
	data     map[string]any
	idle     []*Policy
	conftest bool

	evaluator *evaluator
}

// Policies returns the policies ordered by name.
func (s *Set) Policies() []*Policy { return Sorted(slices.Collect(maps.Values(s.policies))) }

// Sorted orders policies by name.
func Sorted(policies []*Policy) []*Policy {
	return slices.SortedFunc(slices.Values(policies), func(a, b *Policy) int { return cmp.Compare(a.Name, b.Name) })
}

// Select returns the set without the policies whose names accept refuses; they are not evaluated.
func (s *Set) Select(accept func(name string) bool) *Set {
	selected := *s
	selected.policies = map[string]*Policy{}
	for name, policy := range s.policies {
		if accept(name) {
			selected.policies[name] = policy
		}
	}
	selected.evaluator = &evaluator{shared: s.evaluator.shared, alone: s.evaluator.alone}
	return &selected
}

// Policy returns the policy of that name, nil when there is none.
func (s *Set) Policy(name string) *Policy { return s.policies[name] }

// Idle returns the policies that are not evaluated because a fact is not given, ordered by name.
func (s *Set) Idle() []*Policy { return s.idle }

// IsConftest tells whether the policies are rules as conftest has them.
func (s *Set) IsConftest() bool { return s.conftest }

// Known returns the policies, those that lack a fact too, ordered by name.
func (s *Set) Known() []*Policy { return Sorted(slices.Concat(s.Policies(), s.idle)) }

// Facts returns the roots of `data` that the policies see beside themselves and the inventory.
func (s *Set) Facts() map[string]any { return s.data }

// FactsFile is the data file in a policy folder. Its keys are the roots of `data`.
const FactsFile = "facts.yaml"

// WaiversFile is the file of temporary exceptions in a policy folder.
const WaiversFile = "waivers.yaml"

// LibraryDir is the directory in a policy folder for what policies share.
const LibraryDir = "lib"

// Folder is where policies come from, and what else they are read with.
type Folder struct {
	// Dir is the directory. With FS it is only what the files' names begin with.
	Dir string
	// FS holds the policies instead of Dir, those that mean nothing outside its project left out.
	FS fs.FS
	// Facts is the file of facts, which must exist; empty is FactsFile in Dir, if there is one.
	Facts string
	// RegoVersion is the syntax of the files; by default it is Rego v1.
	RegoVersion ast.RegoVersion
	// Conftest applies to a folder of conftest's.
	Conftest Conftest
}

// Load compiles the folder dir with its own facts.
func Load(dir string) (*Set, error) { return Folder{Dir: dir}.Load() }

// Load compiles every policy of the folder, except tests and testdata, and reads its facts or data. No
// policy, a file outside LibraryDir that is none, a policy that does not compile, and one without
// usable metadata are errors: nothing that was meant as a policy is left out in silence.
func (f Folder) Load() (*Set, error) {
	modules, err := f.Modules(func(name string) bool { return !strings.HasSuffix(name, "_test.rego") })
	if err != nil {
		return nil, err
	}
	if len(modules) > 0 && !IsOurs(modules) {
		return f.loadConftest(modules)
	}
	set := &Set{policies: map[string]*Policy{}, data: map[string]any{}}
	for _, file := range slices.Sorted(maps.Keys(modules)) {
		found, err := describe(file, modules[file])
		if err != nil {
			return nil, err
		}
		if found == nil {
			if strings.HasPrefix(file, filepath.Join(f.Dir, LibraryDir)+string(filepath.Separator)) {
				continue
			}
			return nil, fmt.Errorf("%s: is no policy: its %s must be policies.<category>.<name> and have a rule deny; what policies share belongs into %s, and conftest's policies into a folder of their own",
				file, modules[file].Package, filepath.Join(f.Dir, LibraryDir))
		}
		if other, twice := set.policies[found.Name]; twice {
			return nil, fmt.Errorf("%s: the policy %s is defined in %s already", file, found.Name, other.File)
		}
		if f.FS == nil || !found.Specific {
			set.policies[found.Name] = found
		}
	}
	if len(set.policies) == 0 {
		return nil, fmt.Errorf("%s: no policy found: no package policies.<category>.<name> with a rule deny", f.Dir)
	}
	if set.compiler, err = compile(modules); err != nil {
		return nil, err
	}
	set.evaluator = newEvaluator(set.compiler, set.policies)
	if set.data, err = f.LoadFacts(); err != nil {
		return nil, err
	}
	return set.withoutIdle(), nil
}

// withoutIdle leaves out the policies that lack a fact.
func (s *Set) withoutIdle() *Set {
	facts, _ := s.data["facts"].(map[string]any)
	lacking := func(name string) bool {
		return slices.ContainsFunc(s.policies[name].Facts, func(fact string) bool { return facts[fact] == nil })
	}
	active := s.Select(func(name string) bool { return !lacking(name) })
	active.idle = slices.DeleteFunc(s.Policies(), func(p *Policy) bool { return !lacking(p.Name) })
	return active
}

// IsOurs tells whether a folder's policies are packages policies.<category>.<name>.
func IsOurs(modules map[string]*ast.Module) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(modules)), isOurs)
}

func isOurs(module *ast.Module) bool {
	return strings.HasPrefix(module.Package.Path.String(), "data.policies.")
}

// Modules parses the Rego files below dir whose names accept takes, by path. testdata is left out.
func Modules(dir string, accept func(name string) bool) (map[string]*ast.Module, error) {
	return Folder{Dir: dir}.Modules(accept)
}

// Modules parses the Rego files whose names accept takes, by path. testdata is left out.
func (f Folder) Modules(accept func(name string) bool) (map[string]*ast.Module, error) {
	files := f.FS
	if files == nil {
		files = os.DirFS(f.Dir)
	}
	modules := map[string]*ast.Module{}
	var problems []error
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		file := filepath.Join(f.Dir, filepath.FromSlash(name))
		if err != nil {
			return fmt.Errorf("%s: %w", file, cause(err))
		}
		if entry.IsDir() && entry.Name() == "testdata" {
			return fs.SkipDir
		}
		if entry.IsDir() || path.Ext(name) != ".rego" || !accept(entry.Name()) {
			return nil
		}
		read := fs.ReadFile
		if f.FS == nil {
			read = func(fs.FS, string) ([]byte, error) { return regular.Read(file) }
		}
		text, err := read(files, name)
		if err != nil {
			return fmt.Errorf("%s: %w", file, cause(err))
		}
		module, err := f.parse(file, string(text))
		if err != nil {
			problems = append(problems, err)
			return nil
		}
		modules[file] = module
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading policies from %s: %w", f.Dir, err)
	}
	return modules, errors.Join(problems...)
}

func (f Folder) parse(file, text string) (*ast.Module, error) {
	version := cmp.Or(f.RegoVersion, ast.RegoV1)
	module, err := ast.ParseModuleWithOpts(file, text, ast.ParserOptions{ProcessAnnotation: true, RegoVersion: version})
	if err == nil {
		return module, nil
	}
	if version == ast.RegoV1 {
		if _, old := ast.ParseModuleWithOpts(file, text, ast.ParserOptions{RegoVersion: ast.RegoV0}); old == nil {
			return nil, fmt.Errorf("%s: policy does not compile: it is Rego v0; use --rego-version v0, or convert it with opa fmt --v0-v1", file)
		}
	}
	return nil, RegoError(err)
}

// Capabilities are OPA's own without the built-in functions that reach the network, the clock, the
// environment or chance: a verdict must depend on the objects and the facts alone. bits.lsh is missing
// too, since it takes all the memory that a number asks for in one step.
func Capabilities() *ast.Capabilities {
	// OPA counts these among them for the references that a schema may have, which AllowNet refuses.
	harmless := []string{ast.JSONMatchSchema.Name, ast.JSONSchemaVerify.Name}
	capabilities := ast.CapabilitiesForThisVersion()
	capabilities.Builtins = slices.DeleteFunc(capabilities.Builtins, func(builtin *ast.Builtin) bool {
		return builtin.Nondeterministic && !slices.Contains(harmless, builtin.Name) || builtin.Name == ast.BitsShiftLeft.Name
	})
	capabilities.AllowNet = []string{}
	return capabilities
}

func compile(modules map[string]*ast.Module) (*ast.Compiler, error) {
	compiler := ast.NewCompiler().WithCapabilities(Capabilities()).WithDefaultRegoVersion(ast.RegoV1)
	if compiler.Compile(modules); compiler.Failed() {
		return nil, RegoError(compiler.Errors)
	}
	return compiler, nil
}

// describe reads the metadata of a policy's package; it returns nil for a library.
func describe(file string, module *ast.Module) (*Policy, error) {
	name, ok := policyName(module)
	if !ok {
		return nil, nil
	}
	for _, rule := range module.Rules {
		if rule.Head.Name.Equal(ast.Var("deny")) && rule.Head.RuleKind() != ast.MultiValue {
			return nil, fmt.Errorf("%s:%d: deny never yields a finding this way; write `deny contains result if …`", file, rule.Location.Row)
		}
	}
	var found *Policy
	for _, annotations := range module.Annotations {
		if annotations.Scope != "package" {
			continue
		}
		custom, err := readCustom(annotations.Custom)
		if err != nil {
			return nil, fmt.Errorf("%s: METADATA: custom: %w", file, err)
		}
		found = &Policy{
			Name:         name,
			File:         file,
			Title:        annotations.Title,
			Description:  strings.TrimSpace(annotations.Description),
			Severity:     custom.Severity,
			Remediation:  strings.Join(strings.Fields(custom.Remediation), " "),
			Requirements: custom.Requirements,
			Facts:        custom.Facts,
			Specific:     !custom.Generic,
		}
		for _, resource := range annotations.RelatedResources {
			found.RelatedResources = append(found.RelatedResources, resource.Ref.String())
		}
	}
	if found == nil || found.Title == "" {
		return nil, fmt.Errorf("%s: the package has no METADATA with a title", file)
	}
	return found, nil
}

// custom is what METADATA holds of the project's own.
type custom struct {
	Severity     string   `json:"severity"`
	Remediation  string   `json:"remediation"`
	Requirements []string `json:"requirements"`
	Facts        []string `json:"facts"`
	Generic      bool     `json:"generic"`
}

func readCustom(fields map[string]any) (custom, error) {
	read := custom{Severity: SeverityError, Requirements: []string{}, Generic: true}
	text, err := json.Marshal(fields)
	if err != nil {
		return read, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read); err != nil {
		var mistyped *json.UnmarshalTypeError
		if errors.As(err, &mistyped) {
			return read, fmt.Errorf("%s holds a JSON %s; a %s is expected", mistyped.Field, mistyped.Value, mistyped.Type)
		}
		return read, err
	}
	if read.Severity != SeverityError && read.Severity != SeverityWarning {
		return read, fmt.Errorf("severity is %q; use %q or %q", read.Severity, SeverityError, SeverityWarning)
	}
	return read, nil
}

// policyName is category/policy for a package policies.<category>.<policy> that has a rule deny.
func policyName(module *ast.Module) (string, bool) {
	parts := make([]string, 0, 4)
	for _, term := range module.Package.Path[1:] {
		text, ok := term.Value.(ast.String)
		if !ok {
			return "", false
		}
		parts = append(parts, string(text))
	}
	if len(parts) != 3 || parts[0] != "policies" {
		return "", false
	}
	denies := slices.ContainsFunc(module.Rules, func(rule *ast.Rule) bool { return rule.Head.Name.Equal(ast.Var("deny")) })
	return parts[1] + "/" + parts[2], denies
}

// LoadFacts reads the facts: none when no file is named and the folder has no FactsFile.
func (f Folder) LoadFacts() (map[string]any, error) {
	file := cmp.Or(f.Facts, filepath.Join(f.Dir, FactsFile))
	text, err := regular.Read(file)
	if f.Facts == "" && errors.Is(err, fs.ErrNotExist) {
		return map[string]any{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loading facts from %s: %w", file, cause(err))
	}
	facts := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &facts); err != nil {
		return nil, factsError(file, err)
	}
	return facts, reserved(facts, file)
}

// reserved refuses keys that would hide what the validator itself puts into `data`.
func reserved(data map[string]any, from string) error {
	for _, key := range []string{"policies", "inventory"} {
		if _, taken := data[key]; taken {
			return fmt.Errorf("loading %s: the key %q is the validator's own", from, key)
		}
	}
	return nil
}

var blank = regexp.MustCompile(`\s*\n\s*`)

// RegoError writes OPA's errors one a line as file:line: text.
func RegoError(err error) error {
	var list ast.Errors
	if !errors.As(err, &list) {
		return err
	}
	var lines []error
	for _, problem := range list {
		where := ""
		if problem.Location != nil {
			where = fmt.Sprintf("%s:%d: ", problem.Location.File, problem.Location.Row)
		}
		message := blank.ReplaceAllString(problem.Message, " ") + refusal(problem.Message)
		lines = append(lines, fmt.Errorf("%spolicy does not compile: %s", where, message))
	}
	return errors.Join(lines...)
}

// refusal says why a function of OPA's or conftest's is not there.
func refusal(message string) string {
	name, undefined := strings.CutPrefix(message, "undefined function ")
	switch {
	case !undefined:
		return ""
	case slices.ContainsFunc(ast.CapabilitiesForThisVersion().Builtins, func(b *ast.Builtin) bool { return b.Name == name }):
		return ", which is not to be had here: a verdict depends on no network, clock, environment or chance"
	case slices.Contains([]string{"parse_config", "parse_config_file", "parse_combined_config_files"}, name):
		return ", which conftest alone has"
	}
	return ""
}

// cause is what is the matter with a file, whose name the caller knows better.
func cause(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
