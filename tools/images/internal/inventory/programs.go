package inventory

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
)

// buildInfoMagic begins the block that debug/buildinfo looks for. It is put together here so that
// this program itself holds it once only, where the linker puts it.
var buildInfoMagic = slices.Concat([]byte("\xff Go build"), []byte("inf:"))

// Development is what the Go toolchain calls the version of code that has none.
const Development = "(devel)"

// readProgram returns nil for a file that is no Go program.
func readProgram(name string, content io.Reader) (*Program, error) {
	buffered := bufio.NewReader(content)
	start, err := buffered.Peek(len(elf.ELFMAG))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(start) != elf.ELFMAG {
		return nil, nil
	}
	binary, err := io.ReadAll(buffered)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		// The library does not tell a C program from a damaged Go program.
		if bytes.Contains(binary, buildInfoMagic) {
			return nil, fmt.Errorf("reading the Go build information: %w; build the program with a Go release that is not newer than the one that reads it", err)
		}
		return nil, nil
	}
	sum := sha256.Sum256(binary)
	program := &Program{
		Path:      name,
		SHA256:    hex.EncodeToString(sum[:]),
		GoVersion: strings.TrimPrefix(info.GoVersion, "go"),
		Package:   info.Path,
		Main:      module(&info.Main),
	}
	for _, dependency := range info.Deps {
		program.Modules = append(program.Modules, module(dependency))
	}
	slices.SortFunc(program.Modules, func(a, b Module) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Version, b.Version))
	})
	return program, nil
}

func module(found *debug.Module) Module {
	switch replacement := found.Replace; {
	case replacement == nil:
		return Module{Path: found.Path, Version: found.Version}
	case replacement.Version == "" || replacement.Version == Development:
		// A local folder: its path says nothing, and its code is not that of the required version.
		return Module{Path: found.Path, Version: Development}
	default:
		return Module{Path: replacement.Path, Version: replacement.Version}
	}
}
