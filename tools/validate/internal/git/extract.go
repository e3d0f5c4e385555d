package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// A blob is a file of a commit.
type blob struct {
	link       bool
	hash, path string // the path with slashes, from the root
}

// Extract writes the files of a commit below dir as they are stored: without git's conversions, so
// that no filter runs. Submodules stay out. Nothing is written outside of dir, whatever the commit
// holds.
func (r *Repository) Extract(ctx context.Context, commit Commit, dir string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("taking the tree of %s out of the repository: %w", commit, err)
		}
	}()
	blobs, err := r.blobs(ctx, commit)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var hashes bytes.Buffer
	for _, each := range blobs {
		hashes.WriteString(each.hash + "\n")
	}
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := r.run(ctx, &hashes, writer, "cat-file", "--batch")
		writer.CloseWithError(err)
		done <- err
	}()
	contents := bufio.NewReaderSize(reader, 1<<16)
	for _, each := range blobs {
		if err = unpack(root, each, contents); err != nil {
			break
		}
	}
	reader.Close() // Ends git if it has more to say.
	gitErr := <-done
	switch {
	case gitErr != nil && strings.Contains(gitErr.Error(), "promisor"):
		return fmt.Errorf("%w; this is a partial clone: clone without --filter", gitErr)
	case err == nil || ctx.Err() != nil:
		return gitErr
	}
	return err
}

func (r *Repository) blobs(ctx context.Context, commit Commit) ([]blob, error) {
	text, err := r.output(ctx, "ls-tree", "-r", "-z", "--full-tree", commit.Hash)
	if err != nil {
		return nil, err
	}
	var blobs []blob
	for line := range strings.SplitSeq(string(text), "\x00") {
		about, name, _ := strings.Cut(line, "\t")
		fields := strings.Fields(about) // mode, type, hash
		if len(fields) == 3 && fields[1] == "blob" {
			blobs = append(blobs, blob{link: fields[0] == "120000", hash: fields[2], path: name})
		}
	}
	return blobs, nil
}

// unpack writes the next of git's answers, which begins with a line of hash, type and size.
func unpack(root *os.Root, into blob, contents *bufio.Reader) error {
	header, err := contents.ReadString('\n')
	if err != nil {
		return err
	}
	fields := strings.Fields(header)
	if len(fields) != 3 {
		return fmt.Errorf("%s: git has lost its content: %s; `git fsck` says more", into.path, strings.TrimSpace(header))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return fmt.Errorf("%s: reading its size: %w", into.path, err)
	}
	if err := root.MkdirAll(filepath.FromSlash(path.Dir(into.path)), 0o700); err != nil {
		return err
	}
	name, content := filepath.FromSlash(into.path), io.LimitReader(contents, size)
	if into.link {
		target, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		if err := root.Symlink(string(target), name); err != nil {
			return err
		}
	} else {
		file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	_, err = contents.Discard(1) // the newline behind it
	return err
}
