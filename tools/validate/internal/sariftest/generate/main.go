// Command generate writes the JSON Schema of SARIF 2.1.0, which the tests hold the report to, from a
// pinned Go module that carries it as a constant. With -check it only compares.
package main

import (
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ft-services/ft-services/tools/validate/internal/pinned"
)

var source = pinned.Module{Path: "github.com/owenrumney/go-sarif/v3", Version: "v3.3.1", Sum: "h1:bKY8YnWcY8zYTiGVObC5wZLlfEvMkCxK9XMGXBbzEtQ="}

const file, constant = "pkg/report/v210/sarif/schema.go", "schema"

func main() {
	out := flag.String("out", "sarif-2.1.0.json.gz", "file to write")
	check := flag.Bool("check", false, "write nothing; fail if the file differs from what would be written")
	flag.Parse()
	if err := run(*out, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(out string, check bool) error {
	dir, err := source.Download()
	if err != nil {
		return fmt.Errorf("downloading %s: %w", source.Path, err)
	}
	text, err := read(filepath.Join(dir, file))
	if err != nil {
		return fmt.Errorf("reading the schema of %s: %w", source.Path, err)
	}
	if check {
		if err := pinned.Compare(out, text); err != nil {
			return err
		}
		fmt.Printf("%s: as generated\n", out)
		return nil
	}
	size, err := pinned.Write(out, text)
	if err != nil {
		return fmt.Errorf("writing the schema: %w", err)
	}
	fmt.Printf("%s: %d bytes\n", out, size)
	return nil
}

// read returns the value of the constant.
func read(path string) ([]byte, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return nil, err
	}
	var text string
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if ok && spec.Names[0].Name == constant && len(spec.Values) == 1 {
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				text, err = strconv.Unquote(literal.Value)
			}
		}
		return true
	})
	if err == nil && text == "" {
		err = errors.New("it has no constant " + constant)
	}
	return []byte(text), err
}
