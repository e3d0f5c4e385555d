package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ft-services/ft-services/tools/validate/internal/bound"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

// evaluate runs the policies on the objects of an overlay. When time is up it finds out which policy
// took it.
func (c *Checker) evaluate(ctx context.Context, policies *policy.Set, name string, objects []map[string]any) ([]policy.Result, error) {
	if c.OneByOne {
		return c.evaluateEach(ctx, policies, name, objects)
	}
	bound.Doing(ctx, "evaluating the policies on "+name)
	results, err := call(ctx, policies, objects)
	if ctx.Err() == nil {
		return results, err
	}
	all := policies.Policies()
	if len(all) == 0 {
		return nil, fmt.Errorf("evaluating the policies on %s: %w", name, context.Cause(ctx))
	}
	each := c.Timeout / time.Duration(2*len(all))
	for _, suspect := range all {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			break
		}
		bound.Doing(ctx, evaluating(suspect, name))
		if c.slow(context.WithoutCancel(ctx), policies, suspect, objects, each) {
			return nil, fmt.Errorf("%s: %w", evaluating(suspect, name), context.Cause(ctx))
		}
	}
	return nil, fmt.Errorf("evaluating the policies on %s: %w", name, context.Cause(ctx))
}

// slow tells whether one policy alone takes longer than a share of the time.
func (c *Checker) slow(ctx context.Context, policies *policy.Set, suspect *policy.Policy, objects []map[string]any, share time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	_, _ = call(ctx, only(policies, suspect), objects) // What it finds no longer matters.
	return ctx.Err() != nil
}

// evaluateEach is evaluate with one policy at a time, which takes longer.
func (c *Checker) evaluateEach(ctx context.Context, policies *policy.Set, name string, objects []map[string]any) ([]policy.Result, error) {
	var results []policy.Result
	failures := policy.Failures{}
	for _, each := range policies.Policies() {
		bound.Doing(ctx, evaluating(each, name))
		found, err := call(ctx, only(policies, each), objects)
		results = append(results, found...)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", evaluating(each, name), context.Cause(ctx))
		}
		if failed := (policy.Failures)(nil); errors.As(err, &failed) {
			for i, err := range failed {
				failures[i] = errors.Join(failures[i], err)
			}
		} else if err != nil {
			return nil, err
		}
	}
	if len(failures) > 0 {
		return results, failures
	}
	return results, nil
}

func evaluating(policy *policy.Policy, name string) string {
	return fmt.Sprintf("%s: evaluating the policy on %s", policy.File, name)
}

func only(policies *policy.Set, one *policy.Policy) *policy.Set {
	return policies.Select(func(name string) bool { return name == one.Name })
}

func call(ctx context.Context, policies *policy.Set, objects []map[string]any) ([]policy.Result, error) {
	return bound.Call(ctx, func() ([]policy.Result, error) { return policies.Evaluate(ctx, objects) })
}
