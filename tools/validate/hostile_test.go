package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/cli"
	"github.com/ft-services/ft-services/tools/validate/internal/report"
)

// What a hostile input may cost, far above what any does: these are bounds, not measurements.
const (
	hostileTime   = 3 * time.Minute
	hostileMemory = 3 << 29
)

// A hostile input is an archive in testdata/hostile. Its comment says what it is, and then, a line each:
//
//	says: TEXT        what the error says, and where it finds the fault; the only line that must be there
//	code: N           the exit code; 3 without it
//	args: ARGUMENTS   flags of the command
//	alone: WHY        it is given to the command with no other hostile input
//	setup: COMMAND    makes what an archive cannot hold; see hostileSetup
//
// Its files are laid over testdata/tree. What they call REMOTE is a server that nobody may ask.
type hostileInput struct {
	says  string
	code  int
	args  []string
	alone bool
	setup []string
	files []txtar.File
}

func readHostile(t *testing.T, file string) hostileInput {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	require.NoError(t, err)
	input := hostileInput{code: cli.ExitFailed, files: archive.Files}
	for line := range strings.Lines(string(archive.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "says":
			input.says = value
		case "code":
			input.code, err = strconv.Atoi(value)
			require.NoError(t, err)
		case "args":
			input.args = strings.Fields(value)
		case "alone":
			input.alone = true
		case "setup":
			input.setup = append(input.setup, value)
		default:
			require.True(t, line == "\n" || strings.HasPrefix(line, "#"), "%s: what is %q?", file, line)
		}
	}
	require.NotEmpty(t, input.says, "%s: says nothing", file)
	return input
}

// hostileSetup are the commands of setup lines. The first argument is a path.
var hostileSetup = map[string]func(path string, rest string) error{
	// bytes PATH "quoted as in Go"
	"bytes": func(path, rest string) error {
		text, err := strconv.Unquote(rest)
		return errors.Join(err, os.WriteFile(path, []byte(text), 0o600))
	},
	// fill PATH N "before" "each, with its number as %d" "after"
	"fill": func(path, rest string) error {
		number, rest, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(number)
		var parts []string
		for rest = strings.TrimSpace(rest); rest != "" && err == nil; rest = strings.TrimSpace(rest) {
			var quoted, text string
			if quoted, err = strconv.QuotedPrefix(rest); err == nil {
				text, err = strconv.Unquote(quoted)
			}
			parts, rest = append(parts, text), rest[len(quoted):]
		}
		if err != nil || len(parts) != 3 {
			return fmt.Errorf("fill: three quoted texts are expected: %w", err)
		}
		var text bytes.Buffer
		text.WriteString(parts[0])
		for i := range n {
			text.WriteString(strings.ReplaceAll(parts[1], "%d", strconv.Itoa(i)))
		}
		text.WriteString(parts[2])
		return os.WriteFile(path, text.Bytes(), 0o600)
	},
	// nest PATH N "before" is so many mappings within each other.
	"nest": func(path, rest string) error {
		number, before, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(number)
		before, wrong := strconv.Unquote(before)
		return errors.Join(err, wrong, os.WriteFile(path, []byte(before+strings.Repeat("{a: ", n)+"b"+strings.Repeat("}", n)), 0o600))
	},
	"fifo": func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
	"link": func(path, target string) error { return os.Symlink(target, path) },
	"dir":  func(path, _ string) error { return os.MkdirAll(path, 0o700) },
	// size PATH BYTES is a file with nothing in it that takes no room.
	"size": func(path, rest string) error {
		size, err := strconv.ParseInt(rest, 10, 64)
		return errors.Join(err, os.WriteFile(path, nil, 0o600), os.Truncate(path, size))
	},
}

// known is an overlay that is sound but for one finding.
const known = `resources: [../good]
patches:
  - target: {kind: Service}
    patch: |
      - {op: add, path: /spec/type, value: NodePort}
`

// innards are words of the libraries and of the language that tell a user nothing.
var innards = regexp.MustCompile(`goroutine \d|0x[0-9a-f]{6}|resid\.|\.go:\d|panic|runtime error|nil pointer|interface ?\{|map\[string\]|\[\]string|Go (struct|value)|\*?(types|yaml|json|resmap|resource)\.[A-Z]\w+|unmarshal|%!`)

// TestHostileInputs gives the command one broken or hostile input after another, each in a process of
// its own. Each ends in time and memory with one clear error, and a sound overlay beside it is checked.
func TestHostileInputs(t *testing.T) {
	files, err := filepath.Glob("testdata/hostile/*.txtar")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 60)
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(func() {
		server.Close()
		assert.Zero(t, asked.Load(), "requests to the server that nobody may ask")
	})
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			input := readHostile(t, file)
			root := hostileTree(t, &input, server.URL)
			stdout, stderr := runHostile(t, root, input)
			// Nothing of what the input names was run.
			assert.NoFileExists(t, filepath.Join(root, "ran"))
			if stdout == "" {
				checkHostileError(t, input, strings.TrimPrefix(stderr, "validate: "))
				return
			}
			for line := range strings.Lines(stderr) {
				assert.Contains(t, line, "is deprecated") // Kustomize says so itself.
			}
			var result report.Report
			require.NoError(t, json.Unmarshal([]byte(stdout), &result))
			assert.True(t, slices.ContainsFunc(result.Findings, func(f report.Finding) bool {
				return f.Policy == "services/no_nodeport" && slices.Contains(f.Overlays, "overlays/known")
			}) || strings.Contains(input.says, "policies/"), "the other overlay is checked: %s", stdout)
			said := false
			for _, overlay := range result.Overlays {
				if overlay.Error == "" {
					continue
				}
				said = true
				checkHostileError(t, input, overlay.Error)
			}
			if input.code != cli.ExitFailed {
				assert.False(t, said, "%s", stdout)
				assert.Contains(t, stdout, input.says)
			}
		})
	}
}

func hostileTree(t *testing.T, input *hostileInput, server string) string {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.CopyFS(root, os.DirFS("testdata/tree")))
	put(t, filepath.Join(root, "overlays/known/kustomization.yaml"), known, 0o600)
	for _, program := range []string{"git", "helm", "docker", "sh", "function"} {
		put(t, filepath.Join(root, "bin", program), "#!/bin/sh\n: >"+filepath.Join(root, "ran")+"\n", 0o700)
	}
	lay(t, root, input, server)
	return root
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
}

// lay makes an input's files.
func lay(t *testing.T, root string, input *hostileInput, server string) {
	t.Helper()
	filled := strings.NewReplacer("REMOTE", server, "ROOT", root)
	input.says = filled.Replace(input.says)
	for _, file := range input.files {
		put(t, filepath.Join(root, file.Name), filled.Replace(string(file.Data)), 0o600)
	}
	for _, line := range input.setup {
		command, rest, _ := strings.Cut(line, " ")
		path, rest, _ := strings.Cut(rest, " ")
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.Contains(t, hostileSetup, command)
		require.NoError(t, hostileSetup[command](path, rest), "setup: %s", line)
	}
}

// runHostile runs the command and holds it to the exit code, to time and to memory.
func runHostile(t *testing.T, root string, input hostileInput) (stdout, stderr string) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), hostileTime)
	defer cancel()
	var out, errs bytes.Buffer
	command := exec.CommandContext(ctx, program)
	command.Args = append([]string{"validate", "-o", "json", "--timeout", "10s"}, input.args...)
	command.Dir = root
	command.Env = append(os.Environ(), "GOMEMLIMIT=200MiB", "PATH="+filepath.Join(root, "bin"))
	command.Stdout, command.Stderr = &out, &errs
	var failure *exec.ExitError
	if err := command.Run(); !errors.As(err, &failure) {
		require.NoError(t, err)
	}
	require.NoError(t, ctx.Err(), "in time")
	require.Equal(t, input.code, command.ProcessState.ExitCode(), "%s\n%s", &out, &errs)
	usage := command.ProcessState.SysUsage().(*syscall.Rusage)
	assert.Less(t, usage.Maxrss<<10, int64(hostileMemory), "bytes of memory")
	t.Logf("%s %d MiB", command.ProcessState.UserTime(), usage.Maxrss>>10)
	return out.String(), errs.String()
}

func checkHostileError(t *testing.T, input hostileInput, text string) {
	t.Helper()
	t.Log(text)
	assert.Contains(t, text, input.says)
	assert.LessOrEqual(t, strings.Count(strings.TrimSpace(text), "\n"), 11, "lines of %q", text)
	for line := range strings.Lines(text) {
		assert.LessOrEqual(t, len(line), 600, "%s", line)
	}
	assert.NotRegexp(t, innards, text)
	assert.Regexp(t, `(overlays|policies|base)/\S`, text, "names a file")
}

// TestHostileInputsTogether checks many hostile overlays in one process, in which what one leaves behind
// would change the others: the report is the same however many run at once.
func TestHostileInputsTogether(t *testing.T) {
	files, err := filepath.Glob("testdata/hostile/*.txtar")
	require.NoError(t, err)
	root := hostileTree(t, &hostileInput{}, "http://127.0.0.1:1")
	overlays := []string{filepath.Join(root, "overlays/known")}
	for _, file := range files {
		input := readHostile(t, file)
		elsewhere := func(path string) bool { return !strings.HasPrefix(path, "overlays/hostile") }
		if input.alone ||
			slices.ContainsFunc(input.files, func(f txtar.File) bool { return elsewhere(f.Name) }) ||
			slices.ContainsFunc(input.setup, func(line string) bool { return elsewhere(strings.Fields(line)[1]) }) {
			continue
		}
		name := "overlays/" + strings.TrimSuffix(filepath.Base(file), ".txtar")
		for i := range input.files {
			input.files[i].Name = strings.Replace(input.files[i].Name, "overlays/hostile", name, 1)
		}
		for i := range input.setup {
			input.setup[i] = strings.Replace(input.setup[i], "overlays/hostile", name, 1)
		}
		lay(t, root, &input, "http://127.0.0.1:1")
		overlays = append(overlays, filepath.Join(root, name))
	}
	require.Greater(t, len(overlays), 60)
	overlays = append(overlays, filepath.Join(root, "overlays/good"))
	var first string
	for _, jobs := range []string{"1", "8"} {
		var stdout, stderr bytes.Buffer
		code := cli.Run(t.Context(), append([]string{"--policies", filepath.Join(root, "policies"), "-o", "json", "--jobs", jobs}, overlays...), &stdout, &stderr)
		require.Equal(t, cli.ExitFailed, code, "%s", &stderr)
		if first == "" {
			first = stdout.String()
		}
		assert.Equal(t, first, stdout.String(), "with %s jobs", jobs)
	}
	var result report.Report
	require.NoError(t, json.Unmarshal([]byte(first), &result))
	assert.Empty(t, result.Overlays[0].Error)
	assert.Empty(t, result.Overlays[len(overlays)-1].Error)
	assert.True(t, slices.ContainsFunc(result.Findings, func(f report.Finding) bool { return slices.Contains(f.Overlays, overlays[0]) }))
}
