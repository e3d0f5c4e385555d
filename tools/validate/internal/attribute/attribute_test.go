package attribute_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/attribute"
	"github.com/ft-services/ft-services/tools/validate/internal/field"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// mark stands in a tree of testdata right before the place that is to be found.
const mark = "▸"

// TestWays has a tree for each way in which Kustomize can set or remove a value, or leave one out. The
// first line of a tree names the object and the field.
func TestWays(t *testing.T) {
	trees, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(trees), 25)
	for _, tree := range trees {
		t.Run(strings.TrimSuffix(filepath.Base(tree), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(tree)
			require.NoError(t, err)
			question, _, _ := strings.Cut(string(archive.Comment), "\n")
			object, fieldText, _ := strings.Cut(question, " ")
			path, err := field.Parse(fieldText)
			require.NoError(t, err)
			want := unmark(t, archive)
			root := unpack(t, archive)

			dir := filepath.Join(root, "overlay")
			rendered, err := overlay.Render(t.Context(), dir)
			require.NoError(t, err)
			got := attribute.New().Overlay(dir, rendered.Resources()).Place(t.Context(), identify(object), path)
			got.File, err = filepath.Rel(root, got.File)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

// unmark removes a tree's mark and returns where that was.
func unmark(t *testing.T, archive *txtar.Archive) attribute.Place {
	t.Helper()
	var marked []attribute.Place
	for i, file := range archive.Files {
		before, after, found := strings.Cut(string(file.Data), mark)
		if found {
			line := before[strings.LastIndex(before, "\n")+1:]
			marked = append(marked, attribute.Place{File: file.Name, Line: strings.Count(before, "\n") + 1, Column: utf8.RuneCountInString(line) + 1})
		}
		archive.Files[i].Data = []byte(before + after)
	}
	require.Len(t, marked, 1, "places that are marked")
	return marked[0]
}

// unpack writes a tree to a directory of its own.
func unpack(t testing.TB, archive *txtar.Archive) string {
	t.Helper()
	root := t.TempDir()
	for _, file := range archive.Files {
		path := filepath.Join(root, file.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, file.Data, 0o600))
	}
	return root
}

// identify reads Kind/namespace/name or Kind/name.
func identify(text string) attribute.ID {
	parts := strings.Split(text, "/")
	if len(parts) == 2 {
		return attribute.ID{Kind: parts[0], Name: parts[1]}
	}
	return attribute.ID{Kind: parts[0], Namespace: parts[1], Name: parts[2]}
}
