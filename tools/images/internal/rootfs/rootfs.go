// Package rootfs makes root filesystems of Debian packages with mmdebstrap, and the layer by which one
// differs from another.
package rootfs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/ft-services/ft-services/tools/images/internal/command"
)

// Suite is the Debian release that the images are made of.
const Suite = "bookworm"

// Options say what a root filesystem is made of.
type Options struct {
	Packages []string // Debian packages
	Exclude  []string // dpkg path-exclude globs
	Purge    []string // packages to remove at the end
	Finish   string   // script that removes what only installing needed: FINISH ROOT PURGE…
	Epoch    int64    // seconds since 1970: no file is younger
	Mirror   string   // a mirror of Debian's archive; empty: the one mmdebstrap knows
	WorkDir  string   // an empty directory for scratch files
	Log      string   // file for mmdebstrap's output
}

// Make writes the root filesystem to the tar file out. Signatures are verified by apt with the host's
// Debian archive keyring.
func Make(ctx context.Context, out string, o Options) error {
	// usrmerge would bring all of perl into every image; the hook below lays /usr out merged from the
	// start instead, and usr-is-merged says so to apt.
	pin := filepath.Join(o.WorkDir, "no-usrmerge.pref")
	if err := os.WriteFile(pin, []byte("Package: usrmerge\nPin: release *\nPin-Priority: -1\n"), 0o644); err != nil {
		return fmt.Errorf("write apt's preferences: %w", err)
	}
	finish, err := filepath.Abs(o.Finish)
	if err != nil {
		return fmt.Errorf("find %s: %w", o.Finish, err)
	}
	args := []string{
		"--variant=essential", "--format=tar", "--skip=output/dev",
		"--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
		"--setup-hook=mkdir -p \"$1/etc/apt/preferences.d\" && cp '" + pin + "' \"$1/etc/apt/preferences.d/no-usrmerge\"",
		`--aptopt=APT::Install-Recommends "false"`, `--aptopt=Acquire::Languages "none"`,
		`--aptopt=Acquire::Retries "3"`,
	}
	for _, glob := range o.Exclude {
		args = append(args, "--dpkgopt=path-exclude="+glob)
	}
	for _, name := range append([]string{"usr-is-merged"}, o.Packages...) {
		args = append(args, "--include="+name)
	}
	hook := "'" + finish + `' "$1"`
	for _, name := range o.Purge {
		hook += " " + name
	}
	args = append(args, "--customize-hook="+hook, Suite, out)
	if o.Mirror != "" {
		args = append(args, o.Mirror)
	}
	env := []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(o.Epoch, 10), "TMPDIR=" + o.WorkDir, "LC_ALL=C.UTF-8"}
	if err := command.Run(ctx, o.Log, env, "mmdebstrap", args...); err != nil {
		return fmt.Errorf("make the root filesystem of %v: %w", slices.Concat(o.Packages), err)
	}
	return nil
}
