package check

import (
	"slices"

	"github.com/ft-services/ft-services/tools/validate/internal/names"
	"github.com/ft-services/ft-services/tools/validate/internal/policy"
)

// Names of what is checked without a policy.
const (
	SchemaPolicy   = "schema/strict"
	WaiverExpired  = "waivers/expired"
	WaiverUnused   = "waivers/unused"
	waiverCategory = "waivers/*"
)

// Builtin describes what is checked without a policy, ordered by name.
func Builtin() []*policy.Policy {
	return []*policy.Policy{
		{
			Name:             SchemaPolicy,
			Title:            "Every field fits its type",
			Description:      "A field that the type does not know, knows otherwise, wants besides, or that stands twice is dropped\nby Kubernetes' clients in silence, or refused by the cluster only when it is applied. The type is that\nof the Kubernetes version that the overlay's cluster runs (the fact `kubernetes`, or --kubernetes). A\ncustom resource is checked as the API server does it, rules in CEL included, against the\nCustomResourceDefinition that an overlay renders, that --crds names, or that the validator has (MetalLB,\nFlux, Argo CD). A kind that is not known at all is a finding too.",
			Severity:         policy.SeverityError,
			Remediation:      "Write the field as the kind's API reference has it; remove what the type does not know. For a kind without a schema, add its CustomResourceDefinition to an overlay, or name it with --crds.",
			Requirements:     []string{},
			RelatedResources: []string{"https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation"},
		},
		{
			Name:         WaiverExpired,
			Title:        "No waiver has expired",
			Description:  "A waiver ends on the day that it names. From then on what it excused counts again.",
			Severity:     policy.SeverityWarning,
			Remediation:  "Mend what was excused, or agree on another day.",
			Requirements: []string{},
		},
		{
			Name:         WaiverUnused,
			Title:        "Every waiver excuses something",
			Description:  "A waiver that covers nothing is mistyped, or its cause has gone; left in place, it would excuse the\nnext mistake. With --strict this is an error.",
			Severity:     policy.SeverityWarning,
			Remediation:  "Remove the waiver, or correct its object, overlay, path or container.",
			Requirements: []string{},
		},
	}
}

func builtin(name string) *policy.Policy {
	for _, each := range Builtin() {
		if each.Name == name {
			return each
		}
	}
	panic("no check is called " + name)
}

// Waivable returns the names of all that a waiver may be for.
func Waivable(policies *policy.Set) []string {
	all := []string{}
	for _, each := range slices.Concat(Builtin(), policies.Known()) {
		if !names.Matches(each.Name, []string{waiverCategory}) {
			all = append(all, each.Name)
		}
	}
	return all
}

// All returns the policies and what is checked without one, ordered by name.
func All(policies *policy.Set) []*policy.Policy {
	return policy.Sorted(append(Builtin(), policies.Policies()...))
}

// Selection says which policies and checks to run.
type Selection struct {
	Only, Skip []string // globs; an empty Only is all
}

// Has tells whether a policy is to run.
func (s Selection) Has(name string) bool {
	return (len(s.Only) == 0 || names.Matches(name, s.Only)) && !names.Matches(name, s.Skip)
}
