// Package regular reads files that are files: a pipe or a device could keep its reader waiting for
// ever, or never end.
package regular

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ErrNot is what a file that is not regular is.
var ErrNot = errors.New("is not a regular file")

// MaxBytes bounds what is read: no policy, no facts and no waivers are as large.
const MaxBytes = 4 << 20

// Read returns the content of a regular file, or of one that a link leads to.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil || info.IsDir(): // Reading it says the same.
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrNot}
	case info.Size() > MaxBytes:
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("has %d bytes; no more than %d are read", info.Size(), MaxBytes)}
	}
	return os.ReadFile(path)
}
