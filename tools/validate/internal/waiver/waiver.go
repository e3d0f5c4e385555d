// Package waiver reads temporary exceptions. What is allowed for good belongs into the policies'
// facts, with a reason; a waiver names its reason too, and the day on which it ends.
package waiver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"sigs.k8s.io/yaml"
)

// Waiver excuses the findings of one policy on one object up to and including a day.
type Waiver struct {
	Policy  string `json:"policy"`            // category/policy
	Object  string `json:"object"`            // Kind/namespace/name, or Kind/name without a namespace
	Overlay string `json:"overlay,omitempty"` // only in this overlay; empty means in all
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
	text, err := os.ReadFile(file)
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

// Excuse returns the reason when an unexpired waiver covers the finding, and remembers that the
// waiver is of use. A waiver that has expired is of use too: it must be renewed or its cause mended,
// not forgotten. Excuse is not safe for concurrent use.
func (l *List) Excuse(policy, overlay, object string) (reason string, excused bool) {
	for i, waiver := range l.waivers {
		if waiver.Policy != policy || waiver.Object != object || (waiver.Overlay != "" && waiver.Overlay != overlay) {
			continue
		}
		l.used[i] = true
		if !waiver.expired(l.now) {
			return waiver.Reason, true
		}
	}
	return "", false
}

// Unused returns the waivers that covered nothing.
func (l *List) Unused() []Waiver {
	var unused []Waiver
	for i, waiver := range l.waivers {
		if !l.used[i] {
			unused = append(unused, waiver)
		}
	}
	return unused
}
