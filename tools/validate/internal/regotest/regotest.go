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

// Run proves the policies of a folder, whatever their packages are called; a folder of conftest's in
// all of its namespaces. The results are ordered: tests by file and line, then fixtures by path. One that
// takes longer than the timeout fails. That there is nothing to run is an error.
func Run(ctx context.Context, folder policy.Folder, timeout time.Duration) ([]Result, error) {
	modules, err := folder.Modules(func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	load := folder.Conftest.LoadData
	if policy.IsOurs(modules) {
		load = folder.LoadFacts
	}
	data, err := load()
	if err != nil {
		return nil, err
	}
	results, err := runTests(ctx, modules, data, timeout)
	if err != nil {
		return nil, err
	}
	fixtures, err := findFixtures(folder.Dir)
	if err != nil {
		return nil, err
	}
	if len(fixtures) > 0 {
		proven, err := runFixtures(ctx, folder, modules, fixtures, timeout)
		if err != nil {
			return nil, err
		}
		results = append(results, proven...)
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("%s: nothing to test: no rule test_* in a Rego file, no testdata/allow-*.yaml or deny-*.yaml", folder.Dir)
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

func runFixtures(ctx context.Context, folder policy.Folder, modules map[string]*ast.Module, fixtures []string, timeout time.Duration) ([]Result, error) {
	verdicts, err := beside(folder, modules)
	if err != nil {
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

// beside returns, by directory, the verdict of the policies that lie in it.
func beside(folder policy.Folder, modules map[string]*ast.Module) (map[string]verdict, error) {
	policies := map[string][]string{}
	ours := policy.IsOurs(modules)
	for file, module := range modules {
		if !ours && !strings.HasSuffix(file, "_test.rego") {
			policies[filepath.Dir(file)] = append(policies[filepath.Dir(file)], policy.ConftestPolicies(module)...)
		}
	}
	if !ours && len(slices.Concat(slices.Collect(maps.Values(policies))...)) == 0 {
		return nil, nil // Then no fixture has a policy, which its result says.
	}
	folder.Conftest.AllNamespaces = true
	set, err := folder.Load()
	if err != nil {
		return nil, err
	}
	if ours {
		for _, each := range set.Policies() {
			policies[filepath.Dir(each.File)] = append(policies[filepath.Dir(each.File)], each.Name)
		}
	}
	verdicts := map[string]verdict{}
	for dir, names := range policies {
		if len(names) == 0 {
			continue
		}
		alone := set.Select(func(name string) bool { return slices.Contains(names, name) })
		verdicts[dir] = func(ctx context.Context, documents []map[string]any) ([]string, error) {
			results, err := alone.Evaluate(ctx, documents)
			var texts []string
			for _, result := range results {
				texts = append(texts, result.Text)
			}
			return texts, err
		}
	}
	return verdicts, nil
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
		return errors.New("there is no policy beside it: no Rego file with a rule deny, violation or warn in the directory above testdata")
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
