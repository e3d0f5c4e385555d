package policy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// A Result is one finding of one policy.
type Result struct {
	Policy *Policy
	Object int   // index into the objects that were given
	Path   []any // keys (string) and indexes (int) from the object's root
	Text   string
	Value  any // what was found there; nil when nothing was
}

// Every deny of every policy: a new folder is picked up by itself.
var everything = ast.MustParseBody("data.policies[category][policy].deny[result]")

// queryOf is every deny of some policies.
func queryOf(names []string) ast.Body {
	terms := make([]*ast.Term, len(names))
	for i, name := range names {
		category, policy, _ := strings.Cut(name, "/")
		terms[i] = ast.ArrayTerm(ast.StringTerm(category), ast.StringTerm(policy))
	}
	chosen := ast.MustParseBody("[category, policy] = chosen[_]; data.policies[category][policy].deny[result]")
	body, err := ast.TransformVars(chosen, func(variable ast.Var) (ast.Value, error) {
		if variable == "chosen" {
			return ast.NewArray(terms...), nil
		}
		return variable, nil
	})
	if err != nil {
		panic(err) // Nothing above fails.
	}
	return body.(ast.Body)
}

// Failures are the errors of objects that could not be evaluated, by their indexes.
type Failures map[int]error

// Error implements error. It is the first object's: the others would mostly say the same.
func (f Failures) Error() string {
	return f[slices.Min(slices.Collect(maps.Keys(f)))].Error()
}

// Evaluate runs every policy on each of objects, with all of them as data.inventory. The results are
// in the order of the objects, then of the policies' names. With an error of type Failures, whose
// texts name the policy's file and line, the results are those of the other objects.
func (s *Set) Evaluate(ctx context.Context, objects []map[string]any) ([]Result, error) {
	inventory := make([]*ast.Term, len(objects))
	for i, object := range objects {
		value, err := ast.InterfaceToValue(object)
		if err != nil {
			return nil, fmt.Errorf("converting an object for Rego: %w", err)
		}
		inventory[i] = ast.NewTerm(value)
	}
	evaluation, err := s.prepare(ctx, objects)
	if err != nil {
		return nil, err
	}
	var results []Result
	failures := Failures{}
	for i := range objects {
		found, err := s.evaluateOne(ctx, evaluation, inventory[i].Value)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("evaluating the policies: %w", context.Cause(ctx))
		}
		if err != nil {
			failures[i] = err
		}
		for _, result := range found {
			result.Object = i
			results = append(results, result)
		}
	}
	if len(failures) > 0 {
		return results, failures
	}
	return results, nil
}

func (s *Set) prepare(ctx context.Context, objects []map[string]any) (rego.PreparedEvalQuery, error) {
	data := maps.Clone(s.data)
	inventory := make([]any, len(objects))
	for i, object := range objects {
		inventory[i] = object
	}
	data["inventory"] = inventory
	// Policies scan the inventory: keep it in the evaluator's own form, so that a read converts nothing.
	store := inmem.NewFromObjectWithOpts(data, inmem.OptReturnASTValuesOnRead(true))
	evaluation, err := rego.New(
		rego.Compiler(s.compiler),
		rego.Store(store),
		rego.ParsedQuery(s.query),
		// conftest's policies are written for it: there, what a function cannot do is undefined.
		rego.StrictBuiltinErrors(!s.conftest),
	).PrepareForEval(ctx)
	if err != nil {
		return evaluation, fmt.Errorf("preparing the policies: %w", RegoError(err))
	}
	return evaluation, nil
}

func (s *Set) evaluateOne(ctx context.Context, evaluation rego.PreparedEvalQuery, input ast.Value) ([]Result, error) {
	bindings, err := evaluation.Eval(ctx, rego.EvalParsedInput(input))
	if err != nil {
		var failure *topdown.Error
		if errors.As(err, &failure) && failure.Location != nil {
			return nil, fmt.Errorf("%s:%d: policy does not evaluate: %s", failure.Location.File, failure.Location.Row, failure.Message)
		}
		return nil, fmt.Errorf("evaluating the policies: %w", err)
	}
	results := make([]Result, 0, len(bindings))
	for _, binding := range bindings {
		name := fmt.Sprintf("%v/%v", binding.Bindings["category"], binding.Bindings["policy"])
		result, err := s.result(name, binding.Bindings["result"])
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	slices.SortFunc(results, func(a, b Result) int {
		return cmp.Or(cmp.Compare(a.Policy.Name, b.Policy.Name), comparePaths(a.Path, b.Path), cmp.Compare(a.Text, b.Text))
	})
	return results, nil
}

// result reads what a rule gave: {"msg": text, "path": array, "value": anything}.
func (s *Set) result(name string, raw any) (Result, error) {
	policy := s.policies[name]
	fields, ok := raw.(map[string]any)
	if policy == nil || !ok {
		return Result{}, fmt.Errorf("policy %s: deny yields %v; an object with msg and path is expected", name, raw)
	}
	text, ok := fields["msg"].(string)
	if !ok {
		return Result{}, fmt.Errorf("%s: deny yields a result without msg: %v", policy.File, raw)
	}
	path, ok := fields["path"].([]any)
	if !ok {
		return Result{}, fmt.Errorf("%s: deny yields a result without path (an array of keys and indexes): %v", policy.File, raw)
	}
	result := Result{Policy: policy, Text: text, Value: fields["value"]}
	for _, step := range path {
		switch step := step.(type) {
		case string:
			result.Path = append(result.Path, step)
		case json.Number:
			index, err := step.Int64()
			if err != nil {
				return Result{}, fmt.Errorf("%s: path %v holds a number that is no index", policy.File, path)
			}
			result.Path = append(result.Path, int(index))
		default:
			return Result{}, fmt.Errorf("%s: path %v holds something that is neither key nor index", policy.File, path)
		}
	}
	return result, nil
}

// comparePaths orders paths as a reader meets them: indexes by number, keys by letter.
func comparePaths(a, b []any) int {
	return slices.CompareFunc(a, b, func(x, y any) int {
		i, xIndex := x.(int)
		j, yIndex := y.(int)
		if xIndex && yIndex {
			return cmp.Compare(i, j)
		}
		return bytes.Compare(fmt.Append(nil, x), fmt.Append(nil, y))
	})
}
