// Package names matches names with patterns and finds those that a mistyped one may have meant.
package names

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Matches tells whether a name fits one of the patterns, which are globs as path.Match has them: *
// stands for anything but a slash.
func Matches(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		fits, err := path.Match(pattern, name)
		return err == nil && fits
	})
}

// EndsIn tells whether the end of a directory's path fits a glob, however the directory is spelled: from
// another working directory, or as an absolute path.
func EndsIn(dir, pattern string) bool {
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	dir, pattern = filepath.ToSlash(dir), path.Clean(pattern)
	if !path.IsAbs(pattern) {
		steps := strings.Split(dir, "/")
		dir = strings.Join(steps[max(0, len(steps)-1-strings.Count(pattern, "/")):], "/")
	}
	fits, err := path.Match(pattern, dir)
	return err == nil && fits
}

// Check returns an error for the first pattern that is malformed or fits none of the names.
func Check(what string, patterns, names []string) error {
	for _, pattern := range patterns {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("%s %q is no glob: %w", what, pattern, err)
		}
		if !slices.ContainsFunc(names, func(name string) bool { return Matches(name, []string{pattern}) }) {
			return Unknown(what, pattern, names)
		}
	}
	return nil
}

// Unknown says that there is no such name and lists those that look like it.
func Unknown(what, name string, names []string) error {
	text := fmt.Sprintf("there is no %s %q", what, name)
	if near := Near(name, names); len(near) > 0 {
		text += "; near: " + strings.Join(near, ", ")
	}
	return fmt.Errorf("%s", text)
}

// most is how many near names are worth reading.
const most = 5

// Near returns the names that somebody may have meant, the likeliest first: those that differ in few
// letters, and those of which the text is a part.
func Near(text string, names []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	bare := strings.Trim(text, "*/")
	var candidates []candidate
	for _, name := range names {
		distance := levenshtein.ComputeDistance(text, name)
		for part := range strings.SplitSeq(name, "/") {
			distance = min(distance, levenshtein.ComputeDistance(bare, part))
		}
		if bare != "" && strings.Contains(name, bare) {
			distance = 0
		}
		if distance <= max(1, len(bare)/3) {
			candidates = append(candidates, candidate{name, distance})
		}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	near := make([]string, 0, most)
	for _, each := range candidates[:min(most, len(candidates))] {
		near = append(near, each.name)
	}
	return near
}
