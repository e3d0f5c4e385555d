package program_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/program"
	"github.com/ft-services/ft-services/tools/images/internal/recipe"
)

// repository writes a module with one program.
func repository(t *testing.T, text string) string {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("module example.com/x\n\ngo 1.24\n"), 0o644))
	dir := filepath.Join(root, "images", "hello")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nvar text = \"hello\"\n\nfunc main() { println("+text+") }\n"), 0o644))
	return root
}

func TestBuild(t *testing.T) {
	hello := recipe.Program{Package: "./images/hello", Output: "greet", LDFlags: "-s -w -X main.text=goodbye"}
	first, err := program.Build(t.Context(), repository(t, "text"), filepath.Join(t.TempDir(), "cache"), hello)
	require.NoError(t, err)
	assert.Equal(t, "greet", filepath.Base(first))
	out, err := exec.Command(first).CombinedOutput()
	require.NoError(t, err)
	assert.Equal(t, "goodbye\n", string(out), "the linker's flags are used")

	second, err := program.Build(t.Context(), repository(t, "text"), filepath.Join(t.TempDir(), "cache"), hello)
	require.NoError(t, err)
	a, err := os.ReadFile(first)
	require.NoError(t, err)
	b, err := os.ReadFile(second)
	require.NoError(t, err)
	assert.Equal(t, a, b, "where it is built does not show")
}

func TestBuildFailure(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	_, err := program.Build(t.Context(), repository(t, "unknown"), cache, recipe.Program{Package: "./images/hello", Output: "hello"})
	require.ErrorContains(t, err, "build ./images/hello")
	require.ErrorContains(t, err, "undefined: unknown", "the compiler's words are shown")
	left, err := os.ReadDir(cache)
	require.NoError(t, err)
	assert.Empty(t, left)
}
