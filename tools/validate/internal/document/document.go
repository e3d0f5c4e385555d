// Package document writes the README of a policy folder from the METADATA of its policies.
package document

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

// File is the README's name in the policy folder.
const File = "README.md"

// Markdown describes the policies of the folder dir: a table by category, one by requirement, and
// each with its reason and its mend.
func Markdown(dir string, policies []*policy.Policy) []byte {
	d := &document{dir: dir}
	d.line("<!-- Written by `validate docs` from the METADATA of the policies. Edit those, not this. -->")
	d.line("# Policies")
	d.line("")
	d.line("What must hold, as Rego: %s in %s. A finding of severity error fails a run,", count(len(policies), "policy", "policies"), count(len(categories(policies)), "category", "categories"))
	d.line("one of severity warning does not unless `--fail-on warning` is given.")
	for _, category := range categories(policies) {
		d.line("")
		d.line("## %s", category)
		d.line("")
		d.line("| policy | severity | requirements | what |")
		d.line("|---|---|---|---|")
		for _, each := range policies {
			if categoryOf(each) == category {
				d.line("| [%s](#%s) | %s | %s | %s |", nameOf(each), anchor(each.Name), each.Severity, cmp.Or(strings.Join(each.Requirements, ", "), "–"), cell(each.Title))
			}
		}
	}
	d.requirements(policies)
	d.line("")
	d.line("## Each policy")
	for _, each := range policies {
		d.policy(each)
	}
	return []byte(d.text.String())
}

type document struct {
	dir  string
	text strings.Builder
}

func (d *document) line(format string, args ...any) { fmt.Fprintf(&d.text, format+"\n", args...) }

// requirements says of each which policies keep it.
func (d *document) requirements(policies []*policy.Policy) {
	kept := map[string][]string{}
	for _, each := range policies {
		for _, requirement := range each.Requirements {
			kept[requirement] = append(kept[requirement], fmt.Sprintf("[%s](#%s)", each.Name, anchor(each.Name)))
		}
	}
	if len(kept) == 0 {
		return
	}
	d.line("")
	d.line("## By requirement")
	d.line("")
	d.line("| requirement | policies |")
	d.line("|---|---|")
	for _, requirement := range slices.SortedFunc(maps.Keys(kept), natural) {
		d.line("| %s | %s |", cell(requirement), strings.Join(kept[requirement], ", "))
	}
}

// natural orders R2 before R10.
func natural(a, b string) int {
	letters := func(text string) string { return strings.TrimRight(text, "0123456789") }
	return cmp.Or(cmp.Compare(letters(a), letters(b)), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func (d *document) policy(p *policy.Policy) {
	d.line("")
	d.line("### %s", p.Name)
	d.line("")
	d.line("**%s**", p.Title)
	if p.Description != "" {
		d.line("")
		d.line("%s", p.Description)
	}
	if p.Remediation != "" {
		d.line("")
		d.line("Mend: %s", p.Remediation)
	}
	d.line("")
	d.line("- severity: %s", p.Severity)
	if len(p.Requirements) > 0 {
		d.line("- requirements: %s", strings.Join(p.Requirements, ", "))
	}
	if len(p.Facts) > 0 {
		d.line("- checked only where the facts have: `%s`", strings.Join(p.Facts, "`, `"))
	}
	if p.Specific {
		d.line("- of this project alone: not among the embedded policies")
	}
	for _, link := range p.RelatedResources {
		d.line("- <%s>", link)
	}
	if file, err := filepath.Rel(d.dir, p.File); err == nil {
		file = filepath.ToSlash(file)
		d.line("- [%s](%s)", file, file)
	}
}

func categories(policies []*policy.Policy) []string {
	var all []string
	for _, each := range policies {
		all = append(all, categoryOf(each))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func categoryOf(p *policy.Policy) string {
	category, _, _ := strings.Cut(p.Name, "/")
	return category
}

func nameOf(p *policy.Policy) string {
	_, name, _ := strings.Cut(p.Name, "/")
	return name
}

// anchor is what GitHub makes of a heading: letters, digits, hyphens and underscores.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r == ' ':
			return '-'
		}
		return -1
	}, strings.ToLower(heading))
}

// cell keeps a text within its cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
