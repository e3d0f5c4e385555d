// Package pinned takes data out of Go modules of a pinned version and hash, for the programs that
// generate what the repository keeps of it.
package pinned

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Module is one whose zip carries the data. Sum is its hash as go.sum would hold it.
type Module struct{ Path, Version, Sum string }

// Download lets the go command fetch and verify the module, compares its hash with the pinned one, and
// returns the directory that it lies in.
func (m Module) Download() (string, error) {
	command := exec.Command("go", "mod", "download", "-json", m.Path+"@"+m.Version)
	command.Stderr = os.Stderr
	// Outside a module: what it holds is data, not a dependency.
	command.Dir = os.TempDir()
	command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	text, runErr := command.Output()
	var answer struct{ Dir, Sum, Error string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", errors.Join(runErr, err)
	}
	switch {
	case answer.Error != "":
		return "", errors.New(answer.Error)
	case answer.Sum != m.Sum:
		return "", fmt.Errorf("its hash is %s, pinned is %s", answer.Sum, m.Sum)
	}
	return answer.Dir, nil
}

// Write compresses text into a file and returns the bytes that it takes there.
func Write(path string, text []byte) (int, error) {
	var compressed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return 0, err
	}
	if _, err := writer.Write(text); err != nil {
		return 0, err
	}
	if err := writer.Close(); err != nil {
		return 0, err
	}
	return compressed.Len(), os.WriteFile(path, compressed.Bytes(), 0o644)
}

// Compare tells whether a file holds text. It looks at the content, not at the bytes: another Go
// release may compress differently.
func Compare(path string, want []byte) error {
	got, err := Read(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s is not what the pinned modules give; run `go generate ./...` in tools/validate", path)
	}
	return nil
}

// Read returns what Write was given.
func Read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return text, nil
}
