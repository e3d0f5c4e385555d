package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Most policies are about a few kinds, and most objects are of others. OPA's own index of rules sees
// `input.kind == "Service"` in a rule, but not that a rule looks through containers, which only
// workloads have. kindScope does: it follows a rule through the rules and functions it uses and finds
// those that cannot hold for an object of a certain kind, whatever else the object says. Each step is
// a reason for which the rule fails; where none is found the rule is evaluated.
type kindScope struct {
	compiler *ast.Compiler
	kind     ast.Value
	known    map[call]outcome
}

// call is a rule, with the arguments that are the input itself as bits.
type call struct {
	rule   *ast.Rule
	inputs uint64
}

// outcome is what is known of a rule's body and value.
type outcome struct {
	never bool  // the body cannot hold
	class class // of the value
}

// class is what is known of a term.
type class int

const (
	anything  class = iota
	isInput         // the object itself
	isKind          // its kind
	isEmpty         // a collection without members
	isNothing       // undefined
)

func newKindScope(compiler *ast.Compiler, kind string) *kindScope {
	return &kindScope{compiler: compiler, kind: ast.String(kind), known: map[call]outcome{}}
}

// excludes tells whether the rules of ref, partial ones, cannot yield anything.
func (k *kindScope) excludes(ref ast.Ref) bool {
	return k.ref(ref, nil) == isEmpty
}

func (k *kindScope) rule(rule *ast.Rule, inputs uint64) outcome {
	key := call{rule, inputs}
	if found, ok := k.known[key]; ok {
		return found
	}
	variables := map[ast.Var]class{}
	for i, argument := range rule.Head.Args {
		if name, ok := argument.Value.(ast.Var); ok && inputs&(1<<i) != 0 {
			variables[name] = isInput
		}
	}
	found := outcome{never: k.body(rule.Body, variables)}
	if value := rule.Head.Value; value != nil && !found.never {
		found.class = k.term(value, variables)
	}
	if rule.Else != nil {
		other := k.rule(rule.Else, inputs)
		found = both(found, other)
	}
	k.known[key] = found
	return found
}

// both is what is known when either may be the case.
func both(a, b outcome) outcome {
	switch {
	case a.never:
		return b
	case b.never || a.class == b.class:
		return a
	}
	return outcome{}
}

func (k *kindScope) any(rules []*ast.Rule, inputs uint64) outcome {
	result := outcome{never: true}
	for _, rule := range rules {
		result = both(result, k.rule(rule, inputs))
	}
	return result
}

// body tells whether the body cannot hold, and notes what is known of its variables. The compiler
// orders expressions as it likes, so what a later one says of a variable may be needed by an earlier.
func (k *kindScope) body(body ast.Body, variables map[ast.Var]class) bool {
	for {
		before := len(variables)
		for _, expr := range body {
			if expr.Negated || len(expr.With) > 0 {
				continue
			}
			if k.fails(expr, body, variables) {
				return true
			}
		}
		if len(variables) == before {
			return false
		}
	}
}

func (k *kindScope) fails(expr *ast.Expr, body ast.Body, variables map[ast.Var]class) bool {
	if term, ok := expr.Terms.(*ast.Term); ok {
		return k.term(term, variables) == isNothing
	}
	if !expr.IsCall() {
		return false
	}
	operands := expr.Operands()
	classes := make([]class, len(operands))
	for i, operand := range operands {
		if classes[i] = k.term(operand, variables); classes[i] == isNothing {
			return true
		}
	}
	switch operator := expr.Operator(); {
	case expr.IsEquality():
		for i, j := range []int{1, 0} {
			if name, ok := operands[i].Value.(ast.Var); ok && classes[j] != anything {
				variables[name] = classes[j]
			}
			if constant, ok := operands[i].Value.(ast.String); ok && classes[j] == isKind && constant.Compare(k.kind) != 0 {
				return true
			}
		}
	case operator.Equal(ast.Member.Ref()) && len(operands) == 2: // With a third one it says true or false.
		return classes[0] == isKind && excludes(k.constant(operands[1], body), k.kind) || classes[1] == isEmpty
	case operator.HasPrefix(ast.DefaultRootRef):
		return k.call(operator, operands, classes, variables)
	}
	return false
}

// call is fails for a call of a function of a policy.
func (k *kindScope) call(operator ast.Ref, operands []*ast.Term, classes []class, variables map[ast.Var]class) bool {
	rules := k.compiler.GetRulesExact(operator)
	if len(rules) == 0 {
		return false
	}
	inputs := uint64(0)
	for i, class := range classes {
		if class == isInput && i < 64 {
			inputs |= 1 << i
		}
	}
	found := k.any(rules, inputs)
	if len(operands) > len(rules[0].Head.Args) && found.class == isEmpty {
		if output, ok := operands[len(operands)-1].Value.(ast.Var); ok {
			variables[output] = isEmpty
		}
	}
	return found.never
}

func (k *kindScope) term(term *ast.Term, variables map[ast.Var]class) class {
	switch value := term.Value.(type) {
	case ast.Var:
		return variables[value]
	case ast.Ref:
		return k.ref(value, variables)
	case *ast.SetComprehension:
		return k.comprehension(value.Body, variables)
	case *ast.ArrayComprehension:
		return k.comprehension(value.Body, variables)
	case *ast.ObjectComprehension:
		return k.comprehension(value.Body, variables)
	}
	return anything
}

func (k *kindScope) comprehension(body ast.Body, variables map[ast.Var]class) class {
	inner := make(map[ast.Var]class, len(variables))
	for name, class := range variables {
		inner[name] = class
	}
	if k.body(body, inner) {
		return isEmpty
	}
	return anything
}

func (k *kindScope) ref(ref ast.Ref, variables map[ast.Var]class) class {
	head := variables[headOf(ref)]
	if ref.HasPrefix(ast.InputRootRef) {
		head = isInput
	}
	switch head {
	case isInput:
		if len(ref) == 1 {
			return isInput
		}
		if len(ref) == 2 && ref[1].Value.Compare(ast.String("kind")) == 0 {
			return isKind
		}
		return anything
	case isEmpty:
		if len(ref) > 1 {
			return isNothing // An empty collection has no members.
		}
		return isEmpty
	}
	if !ref.HasPrefix(ast.DefaultRootRef) {
		return anything
	}
	return k.virtual(ref, variables)
}

// virtual is ref for one that leads to rules.
func (k *kindScope) virtual(ref ast.Ref, variables map[ast.Var]class) class {
	rules := k.compiler.GetRulesDynamic(ref)
	if len(rules) == 0 {
		return anything
	}
	complete := true
	for _, rule := range rules {
		path := rule.Ref().GroundPrefix()
		if len(rule.Head.Args) > 0 || len(ref) < len(path) || !ref.HasPrefix(path) {
			return anything // A function, a package, or a part of what several rules make up.
		}
		complete = complete && rule.Head.RuleKind() == ast.SingleValue && len(path) == len(rule.Ref())
	}
	end := len(rules[0].Ref().GroundPrefix())
	switch found := k.any(rules, 0); {
	case found.never && (complete || len(ref) > end):
		return isNothing
	case found.never:
		return isEmpty
	case found.class == isEmpty && complete && len(ref) > end:
		return isNothing
	case found.class == isEmpty && complete:
		return isEmpty
	}
	// A table by kinds that has none for this one.
	if rule := rules[0]; len(rules) == 1 && complete && len(ref) > end && isFact(rule) {
		if table, ok := rule.Head.Value.Value.(ast.Object); ok && k.term(ref[end], variables) == isKind && table.Get(ast.NewTerm(k.kind)) == nil {
			return isNothing
		}
	}
	return anything
}

// constant is the term, or the constant that the body says it is.
func (k *kindScope) constant(term *ast.Term, body ast.Body) ast.Value {
	for _, expr := range body {
		if !expr.IsEquality() || expr.Negated || len(expr.With) > 0 || !expr.Operand(0).Equal(term) {
			continue
		}
		if ref, ok := expr.Operand(1).Value.(ast.Ref); ok {
			if rules := k.compiler.GetRulesExact(ref); len(rules) == 1 && isFact(rules[0]) {
				return rules[0].Head.Value.Value
			}
		}
	}
	return term.Value
}

func headOf(ref ast.Ref) ast.Var {
	name, _ := ref[0].Value.(ast.Var)
	return name
}

// isFact tells whether the rule is a constant.
func isFact(rule *ast.Rule) bool {
	return rule.Else == nil && rule.Head.Value != nil && rule.Head.RuleKind() == ast.SingleValue && rule.Head.Value.IsGround() && rule.Body.Equal(ast.NewBody(ast.NewExpr(ast.BooleanTerm(true))))
}

// excludes tells whether a constant collection lacks the member.
func excludes(collection, member ast.Value) bool {
	term := ast.NewTerm(member)
	switch collection := collection.(type) {
	case ast.Set:
		return collection.IsGround() && !collection.Contains(term)
	case *ast.Array:
		lacks := collection.IsGround()
		collection.Foreach(func(each *ast.Term) { lacks = lacks && !each.Equal(term) })
		return lacks
	}
	return false
}

// applicable returns those of the policies that may say something of an object of the kind.
func applicable(compiler *ast.Compiler, policies []*Policy, kind string) []*Policy {
	scope := newKindScope(compiler, kind)
	return slices.DeleteFunc(slices.Clone(policies), func(p *Policy) bool { return scope.excludes(denyRef(p)) })
}
