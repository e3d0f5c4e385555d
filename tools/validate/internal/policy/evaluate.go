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
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
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
	seen := make([]*verdict, len(objects))
	inventory := make([]*ast.Term, len(objects))
	for i, object := range objects {
		value, err := ast.InterfaceToValue(object)
		if err != nil {
			return nil, fmt.Errorf("converting an object for Rego: %w", err)
		}
		if seen[i] = s.evaluator.verdicts.find(value); seen[i] != nil {
			inventory[i] = seen[i].object
		} else {
			inventory[i] = ast.NewTerm(value)
		}
	}
	run, err := s.begin(ctx, ast.NewArray(inventory...))
	if err != nil {
		return nil, err
	}
	defer run.end()
	var results []Result
	failures := Failures{}
	for i, object := range inventory {
		found, err := run.object(objects[i], object, seen[i])
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

// evaluator is what the evaluations of a set share. It may be used by several goroutines.
type evaluator struct {
	shared   *scope           // the rules whose values do not depend on the object
	alone    map[*Policy]bool // the policies that look at one object and the facts alone
	verdicts verdicts
	plans    sync.Map // the plan of each kind
}

func newEvaluator(compiler *ast.Compiler, policies map[string]*Policy) *evaluator {
	return &evaluator{shared: sharedRules(compiler), alone: lonely(compiler, policies)}
}

// plan is which policies are evaluated for a kind.
type plan struct {
	alone, together query
}

type query struct {
	body     ast.Body
	policies []*Policy // in the order of the variables
}

// plan returns what to evaluate for an object.
func (s *Set) plan(object map[string]any) (plan, error) {
	kind, _ := object["kind"].(string)
	if known, ok := s.evaluator.plans.Load(kind); ok {
		return known.(plan), nil
	}
	policies := s.Policies()
	if kind != "" {
		policies = applicable(s.compiler, policies, kind)
	}
	var made plan
	var err error
	for _, each := range []struct {
		query *query
		alone bool
	}{{&made.alone, true}, {&made.together, false}} {
		for _, policy := range policies {
			if s.evaluator.alone[policy] == each.alone {
				each.query.policies = append(each.query.policies, policy)
				variable := ast.VarTerm(fmt.Sprintf("result%d", len(each.query.policies)))
				each.query.body.Append(ast.Equality.Expr(variable, ast.NewTerm(denyRef(policy))))
			}
		}
		if len(each.query.policies) == 0 {
			continue
		}
		if each.query.body, err = s.compiler.QueryCompiler().Compile(each.query.body); err != nil {
			return plan{}, fmt.Errorf("preparing the policies: %w", RegoError(err))
		}
	}
	s.evaluator.plans.Store(kind, made)
	return made, nil
}

// run is the evaluation of one overlay.
type run struct {
	*Set
	ctx         context.Context
	store       storage.Store
	transaction storage.Transaction
	cancel      topdown.Cancel
	stop        func() bool
	shared      topdown.VirtualCache
}

func (s *Set) begin(ctx context.Context, inventory *ast.Array) (*run, error) {
	data := maps.Clone(s.data)
	// In the evaluator's own form a read converts nothing, and the input is found equal to itself in the
	// inventory at a glance.
	data["inventory"] = inventory
	store := inmem.NewFromObjectWithOpts(data, inmem.OptReturnASTValuesOnRead(true))
	transaction, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("preparing the policies: %w", err)
	}
	cancel := topdown.NewCancel()
	return &run{s, ctx, store, transaction, cancel, context.AfterFunc(ctx, cancel.Cancel), topdown.NewVirtualCache()}, nil
}

func (r *run) end() {
	r.stop()
	r.store.Abort(r.ctx, r.transaction)
}

// object returns the results of one object, of which there may be a verdict already.
func (r *run) object(object map[string]any, input *ast.Term, seen *verdict) ([]Result, error) {
	plan, err := r.plan(object)
	if err != nil {
		return nil, err
	}
	cache := &memo{VirtualCache: topdown.NewVirtualCache(), shared: r.shared, rules: r.evaluator.shared}
	if seen == nil {
		alone, err := r.query(plan.alone, input, cache)
		if err != nil {
			return nil, err
		}
		seen = &verdict{input, alone}
		r.evaluator.verdicts.add(input, alone)
	}
	together, err := r.query(plan.together, input, cache)
	if err != nil {
		return nil, err
	}
	results := slices.Concat(seen.results, together)
	slices.SortFunc(results, func(a, b Result) int {
		return cmp.Or(cmp.Compare(a.Policy.Name, b.Policy.Name), comparePaths(a.Path, b.Path), cmp.Compare(a.Text, b.Text))
	})
	return results, nil
}

func (r *run) query(query query, input *ast.Term, cache *memo) ([]Result, error) {
	if len(query.policies) == 0 {
		return nil, nil
	}
	bindings, err := topdown.NewQuery(query.body).
		WithCompiler(r.compiler).
		WithStore(r.store).
		WithTransaction(r.transaction).
		WithCancel(r.cancel).
		WithInput(input).
		WithVirtualCache(cache).
		// conftest's policies are written for it: there, what a function cannot do is undefined.
		WithStrictBuiltinErrors(!r.conftest).
		Run(r.ctx)
	if err != nil {
		var failure *topdown.Error
		if errors.As(err, &failure) && failure.Location != nil {
			return nil, fmt.Errorf("%s:%d: policy does not evaluate: %s", failure.Location.File, failure.Location.Row, failure.Message)
		}
		return nil, fmt.Errorf("evaluating the policies: %w", err)
	}
	var results []Result
	for _, binding := range bindings {
		for i, policy := range query.policies {
			found, ok := binding[ast.Var(fmt.Sprintf("result%d", i+1))].Value.(ast.Set)
			if !ok {
				return nil, fmt.Errorf("policy %s: deny is no set", policy.Name)
			}
			for _, term := range found.Slice() {
				raw, err := ast.JSON(term.Value)
				if err != nil {
					return nil, fmt.Errorf("reading what %s found: %w", policy.Name, err)
				}
				result, err := result(policy, raw)
				if err != nil {
					return nil, err
				}
				results = append(results, result)
			}
		}
	}
	return results, nil
}

// result reads what a rule gave: {"msg": text, "path": array, "value": anything}.
func result(policy *Policy, raw any) (Result, error) {
	fields, ok := raw.(map[string]any)
	if !ok {
		return Result{}, fmt.Errorf("policy %s: deny yields %v; an object with msg and path is expected", policy.Name, raw)
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
