// Package field writes and reads the place of a field in an object, as in spec.ports[0].nodePort.
package field

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// special are the characters for which a key stands quoted in brackets.
const special = "./[] \""

// Format writes keys (string) and indexes (int) as a.b[0].c, with keys that hold other characters in
// brackets.
func Format(path []any) string {
	var text strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&text, "[%d]", step)
		case string:
			if step == "" || strings.ContainsAny(step, special) {
				fmt.Fprintf(&text, "[%q]", step)
				continue
			}
			if text.Len() > 0 {
				text.WriteByte('.')
			}
			text.WriteString(step)
		}
	}
	return text.String()
}

// Parse reads what Format writes.
func Parse(text string) ([]any, error) {
	var path []any
	rest := text
	for rest != "" {
		if inside, bracketed := strings.CutPrefix(rest, "["); bracketed {
			step, after, err := bracket(inside)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", text, err)
			}
			path, rest = append(path, step), after
			continue
		}
		if len(path) > 0 {
			after, dotted := strings.CutPrefix(rest, ".")
			if !dotted {
				return nil, fmt.Errorf("%q: a dot or a bracket is missing before %q", text, rest)
			}
			rest = after
		}
		end := strings.IndexAny(rest, special)
		if end < 0 {
			end = len(rest)
		}
		if end == 0 {
			return nil, fmt.Errorf("%q: a key is missing before %q", text, rest)
		}
		path, rest = append(path, rest[:end]), rest[end:]
	}
	return path, nil
}

// bracket reads an index or a quoted key, and what follows its bracket.
func bracket(text string) (step any, after string, err error) {
	if quoted, err := strconv.QuotedPrefix(text); err == nil {
		after, closed := strings.CutPrefix(text[len(quoted):], "]")
		key, err := strconv.Unquote(quoted)
		if !closed || err != nil {
			return nil, "", errors.New("a bracket is not closed")
		}
		return key, after, nil
	}
	digits, after, closed := strings.Cut(text, "]")
	if !closed {
		return nil, "", errors.New("a bracket is not closed")
	}
	index, err := strconv.Atoi(digits)
	if err != nil || index < 0 {
		return nil, "", fmt.Errorf("[%s] is neither an index nor a key in double quotes", digits)
	}
	return index, after, nil
}
