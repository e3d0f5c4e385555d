// Package program builds the Go programs that go into images: static, without paths or times of the
// machine that built them.
package program

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/ft-services/ft-services/tools/images/internal/command"
	"github.com/ft-services/ft-services/tools/images/internal/recipe"
)

// WorkPrefix begins the name of a build's scratch folder in the cache.
const WorkPrefix = ".build-"

// Build returns the path of the built program. What lies in this repository is built anew each time
// (Go's own cache makes that quick); what has a version is kept in cache.
func Build(ctx context.Context, root, cache string, p recipe.Program) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("describe program %s: %w", p.Output, err)
	}
	sum := sha256.Sum256(append(text, runtime.Version()+runtime.GOARCH...))
	dir := filepath.Join(cache, p.Output+"-"+hex.EncodeToString(sum[:8]))
	file := filepath.Join(dir, p.Output)
	if !p.Local() {
		if _, err := os.Stat(file); err == nil {
			return file, verify(file, p)
		}
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make the folder of programs: %w", err)
	}
	work, err := os.MkdirTemp(cache, WorkPrefix)
	if err != nil {
		return "", fmt.Errorf("make the folder of programs: %w", err)
	}
	defer os.RemoveAll(work)
	env := []string{"CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux", "GOWORK=off"}
	flags := []string{"-trimpath", "-buildvcs=false", "-ldflags", strings.TrimSpace("-buildid= " + p.LDFlags), "-tags", strings.Join(p.Tags, ",")}
	built := filepath.Join(work, p.Output)
	var args []string
	if p.Local() {
		args = slices.Concat([]string{"build", "-C", root}, flags, []string{"-o", built, p.Package})
	} else {
		args = slices.Concat([]string{"install"}, flags, []string{p.Package})
		env = append(env, "GOBIN="+work)
		name, _, _ := strings.Cut(p.Package, "@")
		built = filepath.Join(work, path.Base(name))
	}
	if err := command.Run(ctx, "", env, "go", args...); err != nil {
		return "", fmt.Errorf("build %s: %w", p.Package, err)
	}
	if err := verify(built, p); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("keep program %s: %w", p.Output, err)
	}
	if err := os.Rename(built, file); err != nil {
		return "", fmt.Errorf("keep program %s: %w", p.Output, err)
	}
	return file, nil
}

// verify compares the checksum of the program's module with the recipe's.
func verify(file string, p recipe.Program) error {
	if p.Local() {
		return nil
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read what %s was built from: %w", p.Output, err)
	}
	if info.Main.Sum != p.Sum {
		return fmt.Errorf("module %s@%s has the checksum %s, the recipe wants %s", info.Main.Path, info.Main.Version, info.Main.Sum, p.Sum)
	}
	return nil
}
