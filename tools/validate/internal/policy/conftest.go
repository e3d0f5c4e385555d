package policy

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/loader"
)

// Conftest says how a folder of conftest's policies is read, as conftest's flags of the same names do.
type Conftest struct {
	// Namespaces are the packages whose rules count, globs as path.Match has them; none is `main`.
	Namespaces []string
	// AllNamespaces takes every package.
	AllNamespaces bool
	// Data are the files and directories of YAML and JSON that the policies see as `data`.
	Data []string
}

// The rules that are policies, and how grave a finding of theirs is.
// Source: https://www.conftest.dev/#evaluating-policies
var conftestRules = []struct {
	name     *regexp.Regexp
	severity string
}{
	{regexp.MustCompile(`^(deny|violation)(_[a-zA-Z0-9]+)*$`), SeverityError},
	{regexp.MustCompile(`^warn(_[a-zA-Z0-9]+)*$`), SeverityWarning},
}

// conftestSeverity is empty for a rule that is no policy.
func conftestSeverity(rule string) string {
	for _, kind := range conftestRules {
		if kind.name.MatchString(rule) {
			return kind.severity
		}
	}
	return ""
}

// namespace is conftest's word for a package.
func namespace(module *ast.Module) string {
	return strings.TrimPrefix(module.Package.Path.String(), "data.")
}

// ConftestPolicies returns the names of the policies that a module has rules of: namespace/rule.
func ConftestPolicies(module *ast.Module) []string {
	var names []string
	for _, rule := range module.Rules {
		name := namespace(module) + "/" + string(rule.Head.Name)
		if isConftest(rule) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// isConftest leaves out functions, which are only called like a policy.
func isConftest(rule *ast.Rule) bool {
	return len(rule.Head.Args) == 0 && conftestSeverity(string(rule.Head.Name)) != ""
}

// loadConftest makes of every rule a policy of the validator's own form, package
// policies[<namespace>][<rule>], so that one query evaluates both kinds.
func (f Folder) loadConftest(modules map[string]*ast.Module) (*Set, error) {
	set := &Set{policies: map[string]*Policy{}, conftest: true}
	all := maps.Clone(modules)
	known := []string{}
	for _, file := range slices.Sorted(maps.Keys(modules)) {
		module := modules[file]
		if len(ConftestPolicies(module)) > 0 && !slices.Contains(known, namespace(module)) {
			known = append(known, namespace(module))
		}
		if !f.Conftest.takes(namespace(module)) {
			continue
		}
		if err := boolean(file, module); err != nil {
			return nil, err
		}
		for _, rule := range module.Rules {
			if !isConftest(rule) {
				continue
			}
			described := describeConftest(file, module, rule)
			if other := set.policies[described.Name]; other != nil {
				other.complete(described)
				continue
			}
			set.policies[described.Name] = described
			// The name of a file that nobody can have.
			adapter := described.Name + "\x00adapter"
			var err error
			if all[adapter], err = adapt(module, string(rule.Head.Name)); err != nil {
				return nil, fmt.Errorf("%s: reading the rule %s: %w", file, rule.Head.Name, err)
			}
		}
	}
	if err := f.Conftest.check(f.Dir, known); err != nil {
		return nil, err
	}
	var err error
	if set.compiler, err = compile(all); err != nil {
		return nil, err
	}
	set.evaluator = newEvaluator(set.compiler, set.policies)
	set.data, err = f.Conftest.LoadData()
	return set, err
}

func (c Conftest) takes(namespace string) bool {
	return c.AllNamespaces || slices.ContainsFunc(c.namespaces(), func(pattern string) bool { return fits(pattern, namespace) })
}

func (c Conftest) namespaces() []string {
	if len(c.Namespaces) == 0 {
		return []string{"main"}
	}
	return c.Namespaces
}

func fits(pattern, namespace string) bool {
	matched, err := path.Match(pattern, namespace)
	return pattern == namespace || err == nil && matched
}

// check refuses what would leave policies out in silence.
func (c Conftest) check(dir string, known []string) error {
	if len(known) == 0 {
		return fmt.Errorf("%s: no policy found: no package policies.<category>.<name> with a rule deny, nor, as conftest has them, a rule deny, violation or warn", dir)
	}
	if c.AllNamespaces {
		return nil
	}
	for _, pattern := range c.namespaces() {
		if !slices.ContainsFunc(known, func(namespace string) bool { return fits(pattern, namespace) }) {
			return fmt.Errorf("%s: no policy found in the namespace %s: the rules deny, violation and warn are in %s; choose with --namespace, or --all-namespaces",
				dir, pattern, strings.Join(known, ", "))
		}
	}
	return nil
}

// boolean refuses a rule that is true instead of holding messages, which conftest takes for a pass.
func boolean(file string, module *ast.Module) error {
	for _, rule := range module.Rules {
		name := string(rule.Head.Name)
		if name == "" { // deny[msg] if …, which makes a mapping in Rego v1
			name = string(rule.Head.Ref()[0].Value.(ast.Var))
		}
		value := rule.Head.Value
		if len(rule.Head.Args) == 0 && conftestSeverity(name) != "" && !rule.Default && rule.Head.RuleKind() == ast.SingleValue &&
			value != nil && value.Value.Compare(ast.Boolean(true)) == 0 {
			return fmt.Errorf("%s:%d: %s never yields a finding this way; write `%s contains msg if …`", file, rule.Location.Row, name, name)
		}
	}
	return nil
}

// describeConftest reads the METADATA of the rule, else of its package.
func describeConftest(file string, module *ast.Module, rule *ast.Rule) *Policy {
	name := string(rule.Head.Name)
	described := &Policy{
		Name:         namespace(module) + "/" + name,
		File:         file,
		Severity:     conftestSeverity(name),
		Requirements: []string{},
	}
	for _, annotations := range slices.Concat(rule.Annotations, module.Annotations) {
		ofPackage := annotations.Scope == "package" || annotations.Scope == "subpackages"
		if described.Title != "" || annotations.Title == "" || !ofPackage && !slices.Contains(rule.Annotations, annotations) {
			continue
		}
		described.Title = annotations.Title
		described.Description = strings.TrimSpace(annotations.Description)
		remediation, _ := annotations.Custom["remediation"].(string)
		described.Remediation = strings.Join(strings.Fields(remediation), " ")
		for _, resource := range annotations.RelatedResources {
			described.RelatedResources = append(described.RelatedResources, resource.Ref.String())
		}
	}
	if described.Title == "" {
		described.Title = fmt.Sprintf("The rule %s of package %s", name, namespace(module))
		described.untitled = true
	}
	return described
}

// complete takes over the description of another rule of the same name.
func (p *Policy) complete(other *Policy) {
	if p.untitled && !other.untitled {
		other.File = p.File
		*p = *other
	}
}

// The validator's form of a rule: what `exception` names without the prefix is left out; a text, or an
// object with `msg`, is a finding, an empty one is none; a `path` that is no path is not ours.
// Source: https://www.conftest.dev/exceptions/
const adapterText = `package policies[%[1]s][%[2]s]

deny contains result if {
	not _excepted
	_found := %[3]s.%[4]s
	type_name(_found) in {"set", "array"}
	some each in _found
	result := _result(each)
	object.get(result, "msg", null) != ""
}

_excepted if %[3]s.exception[_][_] == %[5]s

_result(each) := {"msg": each, "path": []} if is_string(each)

_result(each) := object.union(each, {"path": _path(each)}) if is_object(each)

_path(each) := each.path if {
	is_array(each.path)
	every step in each.path {
		_is_step(step)
	}
} else := []

_is_step(step) if is_string(step)

_is_step(step) if {
	is_number(step)
	step == floor(step)
	step >= 0
}
`

func adapt(module *ast.Module, rule string) (*ast.Module, error) {
	excepted := ""
	if _, rest, found := strings.Cut(rule, "_"); found {
		excepted = rest
	}
	if strings.Contains(namespace(module), "/") {
		return nil, fmt.Errorf("the package %s has a slash in its name, which the names of policies cannot have", namespace(module))
	}
	quoted := make([]any, 0, 3)
	for _, text := range []string{namespace(module), rule, excepted} {
		literal, err := json.Marshal(text)
		if err != nil {
			return nil, err
		}
		quoted = append(quoted, string(literal))
	}
	text := fmt.Sprintf(adapterText, quoted[0], quoted[1], module.Package.Path, rule, quoted[2])
	return ast.ParseModuleWithOpts("", text, ast.ParserOptions{RegoVersion: ast.RegoV1})
}

// LoadData reads the data as conftest does: what a directory holds is merged, below the names of its
// subdirectories.
func (c Conftest) LoadData() (map[string]any, error) {
	data := map[string]any{}
	if len(c.Data) == 0 {
		return data, nil
	}
	other := func(file string, info fs.FileInfo, _ int) bool {
		return !info.IsDir() && (!info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 ||
			!slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(info.Name())))
	}
	loaded, err := loader.NewFileLoader().Filtered(c.Data, other)
	if err != nil {
		return nil, fmt.Errorf("loading data from %s: %w", strings.Join(c.Data, ", "), err)
	}
	if loaded.Documents != nil {
		data = loaded.Documents
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("loading data from %s: no YAML or JSON file holds any", strings.Join(c.Data, ", "))
	}
	return data, reserved(data, strings.Join(c.Data, ", "))
}
