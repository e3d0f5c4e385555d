// Package regular reads files that are files: a pipe or a device could keep its reader waiting for
// ever, or never end.
package regular

import (
	"errors"
	"io/fs"
	"os"
)

// ErrNot is what a file that is not regular is.
var ErrNot = errors.New("is not a regular file")

// Read returns the content of a regular file, or of one that a link leads to.
func Read(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrNot}
	}
	return os.ReadFile(path)
}
