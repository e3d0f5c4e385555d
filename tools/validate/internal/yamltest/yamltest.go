// Package yamltest reads YAML files in tests.
package yamltest

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Documents returns the documents of a file of objects.
func Documents(t testing.TB, file string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var documents []map[string]any
	for {
		document, err := reader.Read()
		if err == io.EOF {
			return documents
		}
		require.NoError(t, err, file)
		var object map[string]any
		require.NoError(t, yaml.Unmarshal(document, &object), file)
		if len(object) > 0 {
			documents = append(documents, object)
		}
	}
}

// Unmarshal reads what of a text the value has fields for.
func Unmarshal(t testing.TB, text []byte, into any) {
	t.Helper()
	require.NoError(t, yaml.Unmarshal(text, into))
}

// Decode reads a whole file strictly into a value.
func Decode(t testing.TB, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(text, into), file)
}
