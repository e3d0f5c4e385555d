// Package whole writes files whole or not at all: who reads one never meets the half of it.
package whole

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write puts content in the place of the file that path leads to. What is no regular file, such as a
// pipe or a device, is written to as it is.
func Write(path string, content []byte) (err error) {
	// A link stays one: what it leads to is replaced.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s: is a directory", path)
	case err == nil && !info.Mode().IsRegular():
		return writeInto(path, content)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	partial, err := create(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(partial.Name()))
		}
	}()
	_, err = partial.Write(content)
	if err == nil && info != nil {
		err = partial.Chmod(info.Mode().Perm())
	}
	if err := errors.Join(err, partial.Close()); err != nil {
		return err
	}
	return os.Rename(partial.Name(), path)
}

// create makes a file beside path with the permissions that a new file has here, unlike CreateTemp.
func create(path string) (*os.File, error) {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s.%d-%d.partial", path, os.Getpid(), i)
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		var problem *fs.PathError
		if errors.As(err, &problem) {
			problem.Path = path // That is the name that the caller knows.
		}
		return file, err
	}
}

func writeInto(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}
