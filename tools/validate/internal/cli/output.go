package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/ft-services/ft-services/tools/validate/internal/report"
	"github.com/ft-services/ft-services/tools/validate/internal/whole"
)

// output is a format and where it goes: to a file, or to stdout.
type output struct {
	format string
	file   string
	stderr bool // instead of stdout
}

func (o output) String() string {
	if o.file == "" {
		return o.format
	}
	return o.format + "=" + o.file
}

type outputs []output

func parseOutputs(chosen []string) (outputs, error) {
	var parsed outputs
	for _, each := range chosen {
		format, file, named := strings.Cut(each, "=")
		next := output{format: format, file: file}
		if _, known := report.Formats()[format]; !known {
			return nil, mistake("unknown output format %q; known: %s", format, strings.Join(slices.Sorted(maps.Keys(report.Formats())), ", "))
		}
		if named && (file == "" || file == "-") {
			return nil, mistake("--output %s names no file; for stdout write %s alone", each, format)
		}
		for _, other := range parsed {
			if other.file == file && file == "" {
				return nil, mistake("--output %s and --output %s both go to stdout; name a file for one of them, as in %s=FILE", other, next, format)
			}
			if filepath.Clean(other.file) == filepath.Clean(file) {
				return nil, mistake("--output %s and --output %s go to the same file", other, next)
			}
		}
		parsed = append(parsed, next)
	}
	return parsed, nil
}

// stdout is the format that stdout carries.
func (o outputs) stdout() string {
	for _, each := range o {
		if each.file == "" {
			return each.format
		}
	}
	return "text"
}

// inActions completes the outputs: with text for stdout, and in GitHub Actions with annotations. Its
// runner reads them from stderr too, so that stdout carries its format alone.
// Source: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
func (o outputs) inActions() outputs {
	all := slices.Clone(o)
	onStdout := o.stdout()
	if !slices.Contains(all, output{format: onStdout}) {
		all = append(outputs{{format: onStdout}}, all...)
	}
	if os.Getenv("GITHUB_ACTIONS") != "true" || slices.ContainsFunc(o, func(each output) bool { return each.format == "github" }) {
		return all
	}
	return append(all, output{format: "github", stderr: onStdout != "text"})
}

// write writes the report everywhere; that one place cannot be written to does not keep it from the
// others.
func (o outputs) write(result *report.Report, stdout, stderr io.Writer) error {
	var problems []error
	for _, each := range o {
		var text bytes.Buffer
		err := report.Formats()[each.format](&text, result, each.file == "" && showsColor(stdout))
		if err != nil {
			problems = append(problems, err)
			continue
		}
		switch {
		case each.file != "":
			err = whole.Write(each.file, text.Bytes())
		case each.stderr:
			_, err = stderr.Write(text.Bytes())
		default:
			_, err = stdout.Write(text.Bytes())
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("writing the report as %s: %w", each, err))
		}
	}
	return errors.Join(problems...)
}

// showsColor is whether w is a terminal whose user has not asked for plain text.
// Source: https://no-color.org
func showsColor(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
