package policy

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	factsLine = regexp.MustCompile(`(?s)yaml: (?:unmarshal errors:\s*)?line (\d+): (.*)`)
	noMapping = regexp.MustCompile(`cannot unmarshal (\w+) into Go value`)
)

// factsError names the line, as far as the library does, and leaves out what it says of itself.
func factsError(file string, err error) error {
	text := err.Error()
	if match := noMapping.FindStringSubmatch(text); match != nil {
		return fmt.Errorf("loading facts from %s: holds a JSON %s; write a mapping, whose keys are the roots of data", file, match[1])
	}
	if match := factsLine.FindStringSubmatch(text); match != nil {
		first, _, _ := strings.Cut(match[2], "\n")
		return fmt.Errorf("loading facts from %s:%s: broken YAML: %s", file, match[1], first)
	}
	return fmt.Errorf("loading facts from %s: %s", file, strings.TrimPrefix(text, "error converting YAML to JSON: "))
}
