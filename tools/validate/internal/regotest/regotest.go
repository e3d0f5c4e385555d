// Package regotest runs what lies beside the policies of a folder to prove them: the Rego tests
// (*_test.rego), and the fixtures testdata/allow-*.yaml and deny-*.yaml of the policy that testdata
// stands beside. An allow file yields none of its policy's findings, a deny file at least one. The
// documents of a fixture are each other's inventory.
package regotest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/bound"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
	"github.com/ft-services/ft-services/tools/validate/internal/regular"
)

// Result is the outcome of one test or fixture.
type Result struct {
	Name    string // package.rule of a test, the path of a fixture
	Where   string // file:line, or the file
	Problem string // why it fails; empty when it passes
}

// Run proves the policies of a folder, whatever their packages are called. The results are ordered:
// tests by file and line, then fixtures by path. One that takes longer than the timeout fails. That there
// is nothing to run is an error.
func Run(ctx context.Context, dir string, timeout time.Duration) ([]Result, error) {
	modules, err := policy.Modules(dir, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	facts, err := policy.LoadFacts(dir)
	if err != nil {
		return nil, err
	}
	results, err := runTests(ctx, modules, facts, timeout)
	if err != nil {
		return nil, err
	}
	fixtures, err := findFixtures(dir)
	if err != nil {
		return nil, err
	}
	if len(fixtures) > 0 {
		proven, err := runFixtures(ctx, dir, modules, facts, fixtures, timeout)
		if err != nil {
			return nil, err
		}
		results = append(results, proven...)
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("%s: nothing to test: no rule test_* in a Rego file, no testdata/allow-*.yaml or deny-*.yaml", dir)
	}
	return results, nil
}

func newCompiler() *ast.Compiler {
	return ast.NewCompiler().WithCapabilities(policy.Capabilities()).WithDefaultRegoVersion(ast.RegoV1)
}

func runTests(ctx context.Context, modules map[string]*ast.Module, facts map[string]any, timeout time.Duration) ([]Result, error) {
	found, err := tester.NewRunner().
		SetCompiler(newCompiler()).
		CapturePrintOutput(true).
		SetTimeout(timeout).
		SetStore(inmem.NewFromObject(facts)).
		SetModules(modules).
		RunTests(ctx, nil)
	if err != nil {
		return nil, policy.RegoError(err)
	}
	type located struct {
		Result
		location *ast.Location
	}
	var all []located
	for each := range found {
		result := Result{
			Name:  strings.TrimPrefix(each.Package, "data.") + "." + each.Name,
			Where: fmt.Sprintf("%s:%d", each.Location.File, each.Location.Row),
		}
		switch {
		case topdown.IsCancel(each.Error):
			result.Problem = tooLong(timeout).Error()
		case each.Error != nil:
			result.Problem = each.Error.Error()
		case each.Skip:
			result.Problem = "a test that is skipped tests nothing"
		case each.Fail:
			result.Problem = strings.TrimSpace("fails\n" + string(each.Output))
		}
		all = append(all, located{result, each.Location})
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("running the tests: %w", context.Cause(ctx))
	}
	slices.SortStableFunc(all, func(a, b located) int {
		return cmp.Or(cmp.Compare(a.location.File, b.location.File), cmp.Compare(a.location.Row, b.location.Row), cmp.Compare(a.Name, b.Name))
	})
	results := make([]Result, len(all))
	for i, each := range all {
		results[i] = each.Result
	}
	return results, nil
}

// findFixtures returns the files in the directories testdata below dir.
func findFixtures(dir string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Base(filepath.Dir(file)) != "testdata" {
			return err
		}
		found = append(found, file)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for fixtures in %s: %w", dir, err)
	}
	slices.Sort(found)
	return found, nil
}

// verdict evaluates the policy beside a fixture and returns the texts of its findings.
type verdict func(ctx context.Context, documents []map[string]any) ([]string, error)

func runFixtures(ctx context.Context, dir string, modules map[string]*ast.Module, facts map[string]any, fixtures []string, timeout time.Duration) ([]Result, error) {
	verdicts := map[string]verdict{}
	if err := ours(dir, modules, verdicts); err != nil {
		return nil, err
	}
	if err := others(modules, facts, verdicts); err != nil {
		return nil, err
	}
	results := make([]Result, 0, len(fixtures))
	for _, file := range fixtures {
		result := Result{Name: file, Where: file}
		if err := proveInTime(ctx, file, verdicts[filepath.Dir(filepath.Dir(file))], timeout); err != nil {
			result.Problem = err.Error()
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("running the fixtures: %w", context.Cause(ctx))
		}
		results = append(results, result)
	}
	return results, nil
}

// ours adds the policies that the validator itself evaluates, which are held to its rules.
func ours(dir string, modules map[string]*ast.Module, verdicts map[string]verdict) error {
	own := false
	for _, module := range modules {
		own = own || strings.HasPrefix(module.Package.Path.String(), "data.policies.")
	}
	if !own {
		return nil
	}
	set, err := policy.Load(dir)
	if err != nil {
		return err
	}
	for _, each := range set.Policies() {
		alone := set.Select(func(name string) bool { return name == each.Name })
		verdicts[filepath.Dir(each.File)] = func(ctx context.Context, documents []map[string]any) ([]string, error) {
			results, err := alone.Evaluate(ctx, documents)
			var texts []string
			for _, result := range results {
				texts = append(texts, result.Text)
			}
			return texts, err
		}
	}
	return nil
}

// others adds, for the directories that have none yet, the packages with a rule deny, which is all
// that another tool's policies have in common.
func others(modules map[string]*ast.Module, facts map[string]any, verdicts map[string]verdict) error {
	packages := map[string][]ast.Ref{}
	for _, file := range slices.Sorted(maps.Keys(modules)) {
		dir, module := filepath.Dir(file), modules[file]
		denies := slices.ContainsFunc(module.Rules, func(rule *ast.Rule) bool { return rule.Head.Ref()[0].Value.Compare(ast.Var("deny")) == 0 })
		known := slices.ContainsFunc(packages[dir], func(ref ast.Ref) bool { return ref.Equal(module.Package.Path) })
		if verdicts[dir] == nil && denies && !known && !strings.HasSuffix(file, "_test.rego") {
			packages[dir] = append(packages[dir], module.Package.Path)
		}
	}
	if len(packages) == 0 {
		return nil
	}
	compiler := newCompiler()
	if compiler.Compile(modules); compiler.Failed() {
		return policy.RegoError(compiler.Errors)
	}
	for dir, refs := range packages {
		verdicts[dir] = func(ctx context.Context, documents []map[string]any) ([]string, error) {
			var texts []string
			for _, ref := range refs {
				found, err := evaluate(ctx, compiler, facts, ref, documents)
				if err != nil {
					return nil, err
				}
				texts = append(texts, found...)
			}
			return texts, nil
		}
	}
	return nil
}

func evaluate(ctx context.Context, compiler *ast.Compiler, facts map[string]any, ref ast.Ref, documents []map[string]any) ([]string, error) {
	data := maps.Clone(facts)
	inventory := make([]any, len(documents))
	for i, document := range documents {
		inventory[i] = document
	}
	data["inventory"] = inventory
	query, err := rego.New(
		rego.Compiler(compiler),
		rego.Store(inmem.NewFromObject(data)),
		rego.Query(ref.String()+".deny[result]"),
		rego.StrictBuiltinErrors(true),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("preparing %s: %w", ref, policy.RegoError(err))
	}
	var texts []string
	for _, document := range documents {
		bindings, err := query.Eval(ctx, rego.EvalInput(document))
		if err != nil {
			return nil, fmt.Errorf("evaluating %s: %w", ref, err)
		}
		for _, binding := range bindings {
			texts = append(texts, fmt.Sprint(binding.Bindings["result"]))
		}
	}
	return texts, nil
}

func tooLong(timeout time.Duration) error {
	return fmt.Errorf("takes longer than %s; allow more with --timeout", timeout)
}

func proveInTime(ctx context.Context, file string, verdict verdict, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, tooLong(timeout))
	defer cancel()
	_, err := bound.Call(ctx, func() (struct{}, error) { return struct{}{}, prove(ctx, file, verdict) })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// prove returns how a fixture is not what its name says.
func prove(ctx context.Context, file string, verdict verdict) error {
	name := filepath.Base(file)
	allow, deny := strings.HasPrefix(name, "allow-"), strings.HasPrefix(name, "deny-")
	if !allow && !deny || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) {
		return errors.New("is no fixture: its name starts with allow- or deny- and ends in .yaml")
	}
	if verdict == nil {
		return errors.New("there is no policy beside it: no Rego file with a rule deny in the directory above testdata")
	}
	documents, err := read(file)
	if err != nil {
		return err
	}
	texts, err := verdict(ctx, documents)
	switch {
	case err != nil:
		return err
	case allow && len(texts) > 0:
		return fmt.Errorf("should be allowed, is denied:\n%s", strings.Join(texts, "\n"))
	case deny && len(texts) == 0:
		return errors.New("should be denied, is allowed")
	}
	return nil
}

// read returns the documents of a file of objects.
func read(file string) ([]map[string]any, error) {
	text, err := regular.Read(file)
	if err != nil {
		return nil, err
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var documents []map[string]any
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var object map[string]any
		if err := yaml.UnmarshalStrict(document, &object); err != nil {
			return nil, err
		}
		if len(object) > 0 {
			documents = append(documents, object)
		}
	}
	if len(documents) == 0 {
		return nil, fmt.Errorf("holds no object: %w", os.ErrInvalid)
	}
	return documents, nil
}
