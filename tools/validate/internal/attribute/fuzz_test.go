package attribute_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/attribute"
	"github.com/ft-services/ft-services/tools/validate/internal/field"
	"github.com/ft-services/ft-services/tools/validate/internal/overlay"
)

// FuzzPlace expects of whatever builds that each place lies within its file.
func FuzzPlace(f *testing.F) {
	trees, err := filepath.Glob("testdata/*.txtar")
	require.NoError(f, err)
	for _, tree := range trees {
		archive, err := txtar.ParseFile(tree)
		require.NoError(f, err)
		texts := map[string]string{}
		for _, file := range archive.Files {
			texts[filepath.ToSlash(file.Name)] = strings.ReplaceAll(string(file.Data), mark, "")
		}
		question, _, _ := strings.Cut(string(archive.Comment), "\n")
		_, where, _ := strings.Cut(question, " ")
		f.Add(texts["base/deployment.yaml"], texts["overlay/kustomization.yaml"], texts["overlay/patch.yaml"], where)
	}
	f.Fuzz(func(t *testing.T, base, kustomization, patch, where string) {
		path, err := field.Parse(where)
		if err != nil || strings.Contains(kustomization, "..") && !strings.Contains(kustomization, "../base") {
			t.Skip()
		}
		root := unpack(t, &txtar.Archive{Files: []txtar.File{
			{Name: "base/kustomization.yaml", Data: []byte("resources: [deployment.yaml]\n")},
			{Name: "base/deployment.yaml", Data: []byte(base)},
			{Name: "overlay/kustomization.yaml", Data: []byte(kustomization)},
			{Name: "overlay/patch.yaml", Data: []byte(patch)},
		}})
		dir := filepath.Join(root, "overlay")
		rendered, err := overlay.Render(t.Context(), dir)
		if err != nil {
			t.Skip()
		}
		traced := attribute.New().Overlay(dir, rendered.Resources())
		for _, object := range rendered.Resources() {
			id := attribute.ID{Kind: object.GetKind(), Namespace: object.GetNamespace(), Name: object.GetName()}
			place := traced.Place(t.Context(), id, path)
			if place.Line == 0 {
				continue
			}
			text, err := os.ReadFile(place.File)
			require.NoError(t, err)
			lines := strings.Split(string(text), "\n")
			require.LessOrEqual(t, place.Line, len(lines), "%v", place)
			require.GreaterOrEqual(t, place.Column, 1, "%v", place)
		}
	})
}
