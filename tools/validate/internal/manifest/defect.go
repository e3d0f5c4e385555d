package manifest

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	quotedField = regexp.MustCompile(`^(unknown|duplicate) field "([^"]+)"$`)
	goField     = regexp.MustCompile(`cannot unmarshal (\w+) into Go struct field [\w.]*?\.([\w.]+) of type (\S+)$`)
	pathPart    = regexp.MustCompile(`[^.\[\]]+|\[\d+\]`)
)

// fieldDefect reads one error of strict decoding, such as: unknown field "spec.ports[0].nam".
func fieldDefect(text string) Defect {
	match := quotedField.FindStringSubmatch(text)
	if match == nil {
		return Defect{Text: text}
	}
	path := parsePath(match[2])
	name := match[2]
	if len(path) > 0 {
		if last, ok := path[len(path)-1].(string); ok {
			name = last
		}
	}
	if match[1] == "duplicate" {
		return Defect{path, "the field " + strconv.Quote(name) + " stands twice"}
	}
	return Defect{path, "the type has no field " + strconv.Quote(name)}
}

// typeDefect reads the error of a value that does not fit its Go type. The decoder says the field's
// names but not the indexes between them, so the path ends before the first list.
func typeDefect(text string) Defect {
	match := goField.FindStringSubmatch(text)
	if match == nil {
		return Defect{Text: text}
	}
	return Defect{Text: "the field " + match[2] + " holds a " + match[1] + " where the type wants " + match[3]}
}

// parsePath splits a.b[0].c.
func parsePath(text string) []any {
	var path []any
	for _, part := range pathPart.FindAllString(text, -1) {
		if index, err := strconv.Atoi(strings.Trim(part, "[]")); err == nil && strings.HasPrefix(part, "[") {
			path = append(path, index)
			continue
		}
		path = append(path, part)
	}
	return path
}
