// Package sariftest holds a log to OASIS' schema of SARIF 2.1.0, with its first errata, in tests.
package sariftest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"io"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:generate go run ./generate -out sarif-2.1.0.json.gz

//go:embed sarif-2.1.0.json.gz
var compressed []byte

const sum = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"

var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		return nil, err
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(text)); got != sum {
		return nil, fmt.Errorf("the schema's hash is %s, expected is %s", got, sum)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	const name = "sarif-2.1.0.json"
	if err := compiler.AddResource(name, document); err != nil {
		return nil, err
	}
	return compiler.Compile(name)
})

// Validate returns how a log departs from the schema.
func Validate(log []byte) error {
	schema, err := schema()
	if err != nil {
		return fmt.Errorf("loading the schema of SARIF: %w", err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(log))
	if err != nil {
		return fmt.Errorf("decoding a SARIF log: %w", err)
	}
	return schema.Validate(document)
}
