// Package waiver reads temporary exceptions. What is allowed for good belongs into the policies'
// facts, with a reason; a waiver names its reason too, who answers for it, and the day on which it
// ends.
package waiver

import (
	"slices"
	"strings"
	"time"

	"github.com/ft-services/ft-services/tools/validate/internal/names"
)

// Waiver excuses the findings of one policy on one object up to and including a day.
type Waiver struct {
	Policy    string // category/policy
	Object    string // Kind/namespace/name, or Kind/name without a namespace
	Overlay   string // only in overlays whose path ends in what this glob fits; empty means in all
	Path      []any  // only in this field and what lies below it; empty means the whole object
	Container string // only in the container of this name
	Reason    string
	Owner     string
	Expires   string // the last day, as 2006-01-02, in UTC
	Line      int    // in the file

	ends time.Time // the first moment after it
}

// Finding is what a waiver may be for.
type Finding struct {
	Policy, Overlay, Object, Container string
	Path                               []any
}

// List is a file of waivers. The zero List excuses nothing.
type List struct {
	File    string
	waivers []Waiver
	met     map[int]bool // those that excused a finding, or would have, had they not expired
	now     time.Time
}

// Waivers returns those of the file in their order.
func (l *List) Waivers() []Waiver { return l.waivers }

func (w Waiver) expired(now time.Time) bool { return !now.Before(w.ends) }

// meant tells whether the waiver is for the finding.
func (w Waiver) meant(finding Finding) bool {
	return w.Policy == finding.Policy && w.Object == finding.Object && w.covers(finding.Overlay) &&
		(w.Container == "" || w.Container == finding.Container) &&
		len(w.Path) <= len(finding.Path) && slices.Equal(w.Path, finding.Path[:len(w.Path)])
}

// covers tells whether the waiver is meant for an overlay.
func (w Waiver) covers(overlay string) bool {
	return w.Overlay == "" || names.EndsIn(overlay, w.Overlay)
}

// Excuse returns an unexpired waiver that covers the finding, nil when there is none, and remembers
// which waivers met it. Excuse is not safe for concurrent use.
func (l *List) Excuse(finding Finding) *Waiver {
	var excuse *Waiver
	var expired []int
	for i, waiver := range l.waivers {
		switch {
		case !waiver.meant(finding):
		case waiver.expired(l.now):
			expired = append(expired, i)
		default:
			l.met[i] = true
			if excuse == nil {
				excuse = &l.waivers[i]
			}
		}
	}
	if excuse == nil {
		for _, i := range expired {
			l.met[i] = true
		}
	}
	return excuse
}

// Ended returns the waivers that met a finding after their last day: they must be renewed or their
// cause mended.
func (l *List) Ended() []Waiver {
	var ended []Waiver
	for i, waiver := range l.waivers {
		if l.met[i] && waiver.expired(l.now) {
			ended = append(ended, waiver)
		}
	}
	return ended
}

// Unused returns the waivers that met no finding in the overlays that were checked. Unless those are
// all there are, a waiver may be for one of the others: then only those that name one of them, and no
// other by a glob, count.
func (l *List) Unused(checked []string, all bool) []Waiver {
	var unused []Waiver
	for i, waiver := range l.waivers {
		one := waiver.Overlay != "" && !strings.ContainsAny(waiver.Overlay, `*?[\`)
		meant := all || one && slices.ContainsFunc(checked, waiver.covers)
		if meant && !l.met[i] {
			unused = append(unused, waiver)
		}
	}
	return unused
}
