// Package waiver reads temporary exceptions. What is allowed for good belongs into the policies'
// facts, with a reason; a waiver names its reason too, and the day on which it ends.
package waiver

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/ft-services/ft-services/tools/validate/internal/regular"
)

// Waiver excuses the findings of one policy on one object up to and including a day.
type Waiver struct {
	Policy  string `json:"policy"`            // category/policy
	Object  string `json:"object"`            // Kind/namespace/name, or Kind/name without a namespace
	Overlay string `json:"overlay,omitempty"` // only in this overlay, by the end of its path; empty means in all
	Reason  string `json:"reason"`
	Expires string `json:"expires"` // the last day, as 2006-01-02, in UTC
}

// List is a file of waivers. The zero List excuses nothing.
type List struct {
	waivers []Waiver
	used    map[int]bool
	now     time.Time
}

// Load reads a file of waivers, as a YAML mapping with the one key `waivers`; now decides which have
// expired. A file that does not exist is an empty list only if it is optional.
func Load(file string, optional bool, now time.Time) (*List, error) {
	text, err := regular.Read(file)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return &List{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading waivers: %w", err)
	}
	var content struct {
		Waivers []Waiver `json:"waivers"`
	}
	if err := yaml.UnmarshalStrict(text, &content); err != nil {
		return nil, fmt.Errorf("reading waivers from %s: %w", file, err)
	}
	for i, waiver := range content.Waivers {
		if err := waiver.check(); err != nil {
			return nil, fmt.Errorf("reading waivers from %s: waiver %d: %w", file, i+1, err)
		}
	}
	return &List{waivers: content.Waivers, used: map[int]bool{}, now: now}, nil
}

func (w Waiver) check() error {
	for _, field := range []struct{ name, value string }{
		{"policy", w.Policy}, {"object", w.Object}, {"reason", w.Reason}, {"expires", w.Expires},
	} {
		if field.value == "" {
			return fmt.Errorf("%s is missing", field.name)
		}
	}
	if _, err := time.Parse(time.DateOnly, w.Expires); err != nil {
		return fmt.Errorf("expires: %q is no day of the form 2006-01-02", w.Expires)
	}
	return nil
}

func (w Waiver) expired(now time.Time) bool {
	day, err := time.Parse(time.DateOnly, w.Expires)
	return err != nil || !now.Before(day.AddDate(0, 0, 1))
}

// covers tells whether the waiver is meant for an overlay, however its directory is spelled: from
// another working directory, or as an absolute path.
func (w Waiver) covers(overlay string) bool {
	if w.Overlay == "" {
		return true
	}
	if absolute, err := filepath.Abs(overlay); err == nil {
		overlay = absolute
	}
	meant := filepath.Clean(w.Overlay)
	return overlay == meant || strings.HasSuffix(overlay, string(filepath.Separator)+meant)
}

// Excuse returns the reason when an unexpired waiver covers the finding, and remembers that the
// waiver met one. Excuse is not safe for concurrent use.
func (l *List) Excuse(policy, overlay, object string) (reason string, excused bool) {
	for i, waiver := range l.waivers {
		if waiver.Policy != policy || waiver.Object != object || !waiver.covers(overlay) {
			continue
		}
		l.used[i] = true
		if !waiver.expired(l.now) {
			return waiver.Reason, true
		}
	}
	return "", false
}

// Ended returns the waivers that met a finding after their last day: they must be renewed or their
// cause mended.
func (l *List) Ended() []Waiver {
	var ended []Waiver
	for i, waiver := range l.waivers {
		if l.used[i] && waiver.expired(l.now) {
			ended = append(ended, waiver)
		}
	}
	return ended
}

// Unused returns the waivers that met no finding in the overlays that were checked. Unless those are
// all there are, a waiver may be for one of the others: then only those that name one of them count.
func (l *List) Unused(checked []string, all bool) []Waiver {
	var unused []Waiver
	for i, waiver := range l.waivers {
		meant := all || waiver.Overlay != "" && slices.ContainsFunc(checked, waiver.covers)
		if meant && !l.used[i] {
			unused = append(unused, waiver)
		}
	}
	return unused
}
