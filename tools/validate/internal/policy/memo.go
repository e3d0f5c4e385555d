package policy

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// memo is the evaluator's cache of rules' values for one object. The value of a rule that does not
// depend on the object goes to a cache that all objects of an overlay share: an index of the inventory
// is then made once, and not once for every object.
type memo struct {
	topdown.VirtualCache
	shared topdown.VirtualCache
	rules  *scope
	// depth counts the `with` that are open: what they replace is not what the others see.
	depth int
}

func (m *memo) Push() { m.depth++; m.VirtualCache.Push() }
func (m *memo) Pop()  { m.depth--; m.VirtualCache.Pop() }

func (m *memo) Get(ref ast.Ref) (*ast.Term, bool) { return m.cache(ref).Get(ref) }

func (m *memo) Put(ref ast.Ref, value *ast.Term) { m.cache(ref).Put(ref, value) }

func (m *memo) cache(ref ast.Ref) topdown.VirtualCache {
	if m.depth == 0 && m.rules.has(ref) {
		return m.shared
	}
	return m.VirtualCache
}

// scope is a set of rules, by the steps of their references.
type scope struct {
	member bool
	below  map[ast.Value]*scope
}

// has tells whether ref is of one of the rules. The evaluator asks for a function by its name, as one
// step, and its arguments: that it never is.
func (s *scope) has(ref ast.Ref) bool {
	for _, step := range ref {
		switch step.Value.(type) {
		case ast.Var, ast.String:
		default:
			return false
		}
		if s = s.below[step.Value]; s == nil {
			return false
		}
		if s.member {
			return true
		}
	}
	return false
}

func (s *scope) add(ref ast.Ref) {
	for _, step := range ref {
		if s.below == nil {
			s.below = map[ast.Value]*scope{}
		}
		next := s.below[step.Value]
		if next == nil {
			next = &scope{}
			s.below[step.Value] = next
		}
		s = next
	}
	s.member = true
}

// dependence tells what the values of rules depend on.
type dependence struct {
	compiler *ast.Compiler
	roots    []ast.Ref
	known    map[*ast.Rule]bool
}

func newDependence(compiler *ast.Compiler, roots ...ast.Ref) *dependence {
	return &dependence{compiler: compiler, roots: roots, known: map[*ast.Rule]bool{}}
}

// on tells whether the rule, or one that it uses, reads one of the roots.
func (d *dependence) on(rule *ast.Rule) bool {
	if depends, ok := d.known[rule]; ok {
		return depends
	}
	depends := d.reads(rule)
	// What an else uses is not among what its rule does.
	for branch := rule; branch != nil; branch = branch.Else {
		for used := range d.compiler.Graph.Dependencies(branch) {
			depends = depends || d.on(used.(*ast.Rule))
		}
	}
	d.known[rule] = depends
	return depends
}

// reads tells whether the rule itself does, or may, or replaces something for the rules it uses.
func (d *dependence) reads(rule *ast.Rule) bool {
	found := false
	ast.WalkTerms(rule, func(term *ast.Term) bool {
		ref, ok := term.Value.(ast.Ref)
		for _, root := range d.roots {
			// A shorter reference, as data[x], may lead there.
			if prefix := ref.GroundPrefix(); ok && (ref.HasPrefix(root) || len(prefix) < len(root) && root.HasPrefix(prefix)) {
				found = true
			}
		}
		return found
	})
	ast.WalkExprs(rule, func(expr *ast.Expr) bool {
		found = found || len(expr.With) > 0
		return found
	})
	return found
}

// sharedRules finds the rules whose values are the same for every object of an overlay.
func sharedRules(compiler *ast.Compiler) *scope {
	input := newDependence(compiler, ast.InputRootRef)
	shared := &scope{}
	for _, module := range compiler.Modules {
		for _, rule := range module.Rules {
			path := rule.Ref().GroundPrefix()
			same := len(rule.Head.Args) == 0
			for _, other := range compiler.GetRulesWithPrefix(path) {
				same = same && !input.on(other)
			}
			if same {
				shared.add(path)
			}
		}
	}
	return shared
}

var inventoryRef = ast.MustParseRef("data.inventory")

// lonely tells which policies look at one object and the facts alone.
func lonely(compiler *ast.Compiler, policies map[string]*Policy) map[*Policy]bool {
	inventory := newDependence(compiler, inventoryRef)
	alone := map[*Policy]bool{}
	for _, each := range policies {
		alone[each] = true
		for _, rule := range compiler.GetRulesWithPrefix(denyRef(each)) {
			alone[each] = alone[each] && !inventory.on(rule)
		}
	}
	return alone
}

// denyRef leads to a policy's findings.
func denyRef(p *Policy) ast.Ref {
	category, name, _ := strings.Cut(p.Name, "/")
	return ast.MustParseRef("data.policies").Append(ast.StringTerm(category)).Append(ast.StringTerm(name)).Append(ast.StringTerm("deny"))
}
