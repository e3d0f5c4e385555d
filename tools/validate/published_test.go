package main_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/cli"
	"github.com/ft-services/ft-services/tools/validate/internal/yamltest"
)

// TestThePreCommitHooks runs on this repository what its hooks would.
func TestThePreCommitHooks(t *testing.T) {
	var hooks []struct{ ID, Entry, Language string }
	t.Chdir("../..")
	text, err := os.ReadFile(".pre-commit-hooks.yaml")
	require.NoError(t, err)
	yamltest.Unmarshal(t, text, &hooks)
	require.Len(t, hooks, 3)
	for _, hook := range hooks {
		t.Run(hook.ID, func(t *testing.T) {
			assert.Equal(t, "golang", hook.Language)
			command := strings.Fields(hook.Entry)
			require.Equal(t, "validate", command[0], "the name that go install gives the command")
			var stdout, stderr bytes.Buffer
			assert.Equal(t, cli.ExitClean, cli.Run(t.Context(), command[1:], &stdout, &stderr), "%s%s", &stdout, &stderr)
		})
	}
}

// action is the part of a composite action that the tests look at.
type action struct {
	Inputs map[string]struct{ Default string }
	Runs   struct {
		Steps []struct {
			Uses, Run string
			Env       map[string]string
		}
	}
}

// TestTheAction runs the action's script as a runner would, with a go command that installs a program
// that prints its arguments.
func TestTheAction(t *testing.T) {
	dir, err := filepath.Abs("../../.github/actions/validate")
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "action.yml"))
	require.NoError(t, err)
	var described action
	yamltest.Unmarshal(t, text, &described)
	steps := described.Runs.Steps
	require.Len(t, steps, 2)
	pinned, err := os.ReadFile("../../.github/workflows/ci.yaml")
	require.NoError(t, err)
	assert.Contains(t, string(pinned), steps[0].Uses, "the same pin as in the workflow")
	assert.NoDirExists(t, filepath.Join(dir, "go.mod"))
	assert.FileExists(t, filepath.Join(dir, "../../../go.mod"), "the module is where the script looks for it")

	bin := t.TempDir()
	const installer = `#!/bin/sh
[ "$1" = -C ] && cd "$2" && [ "$3 $4" = "install ./tools/validate" ] && [ -f "$4/main.go" ] || exit 9
mkdir -p "$GOBIN"
printf '#!/bin/sh\nprintf "<%%s>\\n" "$@"\nexit 1\n' > "$GOBIN/validate"
chmod +x "$GOBIN/validate"
`
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte(installer), 0o700))
	for name, test := range map[string]struct {
		inputs map[string]string
		base   string // branch of the pull request
		want   string
		diff   string // in its file
	}{
		"as it is": {nil, "", "<--policies=>\n<--fail-on=error>\n<--strict=false>\n<-->\n", ""},
		"all": {
			map[string]string{"changed": "true", "diff": "diff.md", "overlays": "overlays/a b\n\n--help\n", "policies": "p", "fail-on": "warning", "strict": "true", "sarif": "a b.sarif", "junit": "$(exit)"},
			"a branch",
			"<--policies=p>\n<--fail-on=warning>\n<--strict=true>\n<--output=sarif=a b.sarif>\n<--output=junit=$(exit)>\n<--changed>\n<-->\n<overlays/a b>\n<--help>\n",
			"<diff>\n<--output=markdown>\n<-->\n<origin/a branch>\n<overlays/a b>\n<--help>\n",
		},
		"not in a pull request": {
			map[string]string{"changed": "true", "diff": "diff.md"}, "",
			"<--policies=>\n<--fail-on=error>\n<--strict=false>\n<-->\n", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			script := filepath.Join(t.TempDir(), "script.sh")
			require.NoError(t, os.WriteFile(script, []byte(steps[1].Run), 0o600))
			command := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", script)
			command.Dir = t.TempDir()
			command.Env = []string{"GITHUB_BASE_REF=" + test.base, "PATH=" + bin + ":" + os.Getenv("PATH"), "RUNNER_TEMP=" + t.TempDir(), "GITHUB_ACTION_PATH=" + dir}
			for variable, expression := range steps[1].Env {
				input := strings.TrimSuffix(strings.TrimPrefix(expression, "${{ inputs."), " }}")
				require.Contains(t, described.Inputs, input, variable)
				value, given := test.inputs[input]
				if !given {
					value = described.Inputs[input].Default
				}
				command.Env = append(command.Env, variable+"="+value)
			}
			out, err := command.Output()
			var failure *exec.ExitError
			require.ErrorAs(t, err, &failure, "the validator's exit code is the step's")
			assert.Equal(t, 1, failure.ExitCode(), "%s", failure.Stderr)
			assert.Equal(t, test.want, string(out))
			text, err := os.ReadFile(filepath.Join(command.Dir, "diff.md"))
			if test.diff == "" {
				assert.ErrorIs(t, err, fs.ErrNotExist)
			}
			assert.Equal(t, test.diff, string(text))
		})
	}
}
