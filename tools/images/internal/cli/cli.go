// Package cli is the command line of the image builder.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/ft-services/ft-services/tools/images/internal/build"
	"github.com/ft-services/ft-services/tools/images/internal/load"
	"github.com/ft-services/ft-services/tools/images/internal/lock"
	"github.com/ft-services/ft-services/tools/images/internal/recipe"
	"github.com/ft-services/ft-services/tools/images/internal/reference"
)

// Exit codes.
const (
	ExitOK     = 0
	ExitFailed = 1 // an image was not built or not loaded
	ExitUsage  = 2 // the command line is wrong
)

const usage = `Builds the images of the stack from Debian packages: no Docker, no registry. Needs root, buildah and
mmdebstrap. Run it in the repository's root.

Usage:
  images build [flags] [IMAGE…]      build what changed; all images if none is named
  images lock [flags]                build all anew, and write what they hold into the lock file
  images load [flags] minikube|containerd|docker [IMAGE…]
                                     bring built images into a cluster's node
  images push [flags] REGISTRY[/PATH] [IMAGE…]
                                     bring built images to a registry (accounts: skopeo login)

Flags:
%s
Archives (OCI and Docker at once), SBOMs (SPDX) and logs lie in the folder --out.

Exit codes:
  0  done; an image whose vendor's archive cannot be had here is named, and no failure without --require-all
  1  an image was not built, or not loaded
  2  wrong usage
`

type options struct {
	images, overlay, out, downloads, mirror string
	jobs                                    int
	force, requireAll, locked               bool
	profile, address, namespace             string
	plainHTTP                               bool
	command                                 string
	args                                    []string
}

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func parse(args []string) (options, string, error) {
	var o options
	flags := pflag.NewFlagSet("images", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = false
	flags.StringVar(&o.images, "images", "images", "`directory` of the images' folders")
	flags.StringVar(&o.overlay, "overlay", "overlays/minikube", "`overlay` that says how the images are named")
	flags.StringVar(&o.out, "out", filepath.Join("out", "images"), "`directory` for what is built")
	flags.StringVar(&o.downloads, "downloads", filepath.Join("out", "downloads"), "`directory` of vendors' archives; what is not there is fetched")
	flags.StringVar(&o.mirror, "mirror", os.Getenv("MIRROR"), "Debian mirror or snapshot (default: $MIRROR, or mmdebstrap's choice)")
	flags.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "how many images at a time")
	flags.BoolVar(&o.force, "force", false, "build what has not changed too, with today's packages")
	flags.BoolVar(&o.requireAll, "require-all", false, "fail when an image was not built because its archive cannot be had")
	flags.BoolVar(&o.locked, "locked", false, "fail when an image holds something else than the lock file says")
	flags.StringVar(&o.profile, "profile", "minikube", "load minikube: the cluster's `name`")
	flags.StringVar(&o.address, "address", "/run/containerd/containerd.sock", "load containerd: its `socket`")
	flags.StringVar(&o.namespace, "namespace", "k8s.io", "load containerd: its `namespace`")
	flags.BoolVar(&o.plainHTTP, "plain-http", false, "push: the registry speaks no TLS")
	help := fmt.Sprintf(usage, flags.FlagUsages())
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return o, help, err
		}
		return o, help, &usageError{err.Error()}
	}
	if flags.NArg() == 0 {
		return o, help, &usageError{"a command is missing: build, lock, load or push"}
	}
	if o.jobs < 1 {
		return o, help, &usageError{"--jobs must be 1 or more"}
	}
	o.command, o.args = flags.Arg(0), flags.Args()[1:]
	return o, help, nil
}

// Run does what the arguments ask for and returns the exit code. The summary goes to stdout, progress
// and errors to stderr.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, help, err := parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, help)
		return ExitOK
	}
	if err == nil {
		err = run(ctx, o, stdout, stderr)
	}
	if err == nil {
		return ExitOK
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(stderr, "images: %s\n", strings.TrimRight(line, "\n"))
	}
	if mistake := (*usageError)(nil); errors.As(err, &mistake) {
		fmt.Fprintln(stderr, "images: see images --help")
		return ExitUsage
	}
	return ExitFailed
}

func run(ctx context.Context, o options, stdout, stderr io.Writer) error {
	switch o.command {
	case "build", "lock":
		return buildImages(ctx, o, stdout, stderr)
	case "load", "push":
		return loadImages(ctx, o, stdout)
	default:
		return &usageError{fmt.Sprintf("unknown command %q: build, lock, load or push", o.command)}
	}
}

// plan reads the recipes and the overlay, which must know the same images.
func plan(o options, named []string) (*recipe.Recipe, []build.Target, error) {
	recipes, err := recipe.LoadAll(o.images)
	if err != nil {
		return nil, nil, err
	}
	names, err := reference.FromOverlay(o.overlay)
	if err != nil {
		return nil, nil, err
	}
	var base *recipe.Recipe
	var targets []build.Target
	var errs []error
	known := map[string]bool{}
	for _, r := range recipes {
		known[r.Name] = true
		if r.Name == recipe.Base {
			base = r
			continue
		}
		name, used := names[r.Name]
		if !used {
			errs = append(errs, fmt.Errorf("%s: overlay %s uses no image called %s: use it or remove the folder", r.Dir, o.overlay, r.Name))
			continue
		}
		if r.Version != "" && name.Version != r.Version {
			errs = append(errs, fmt.Errorf("%s holds version %s, but overlay %s says %s: set newTag: %s-1 in base/images/kustomization.yaml",
				r.Dir, r.Version, o.overlay, name, r.Version))
		}
		if len(named) == 0 || slices.Contains(named, r.Name) {
			targets = append(targets, build.Target{Recipe: r, Reference: name.String()})
		}
	}
	for name := range names {
		if !known[name] {
			errs = append(errs, fmt.Errorf("overlay %s uses image %s, but %s has no %s", o.overlay, names[name], filepath.Join(o.images, name), recipe.File))
		}
	}
	if base == nil {
		errs = append(errs, fmt.Errorf("%s is missing: every image stands on it", filepath.Join(o.images, recipe.Base)))
	}
	for _, name := range named {
		if !known[name] {
			errs = append(errs, &usageError{fmt.Sprintf("there is no image %q", name)})
		}
	}
	return base, targets, errors.Join(errs...)
}

func buildImages(ctx context.Context, o options, stdout, stderr io.Writer) error {
	locking := o.command == "lock"
	if locking && len(o.args) > 0 {
		return &usageError{"lock takes no image: the lock file is written whole"}
	}
	base, targets, err := plan(o, o.args)
	if err != nil {
		return err
	}
	if err := prerequisites(); err != nil {
		return err
	}
	lockFile := filepath.Join(o.images, "lock.yaml")
	locked, err := lock.Load(lockFile)
	if errors.Is(err, os.ErrNotExist) && locking {
		locked, err = &lock.File{}, nil
	}
	if err != nil {
		return err
	}
	epoch := locked.Epoch
	if locking {
		epoch = time.Now().UTC().Truncate(24 * time.Hour).Unix()
	}
	began := time.Now()
	builder := &build.Builder{
		Root: ".", Out: absolute(o.out), Downloads: o.downloads, Mirror: o.mirror, Epoch: epoch, Jobs: o.jobs,
		Force: o.force || locking, Base: base, Progress: progress(stderr, began),
	}
	results, err := builder.Build(ctx, targets)
	if err != nil {
		return err
	}
	if err := printSummary(stdout, results, time.Since(began)); err != nil {
		return err
	}
	if locking {
		return saveLock(stdout, lockFile, locked, epoch, results)
	}
	return judge(o, stdout, locked, results)
}

// judge says what differs from the lock file and what was not built, and decides whether that is a
// failure.
func judge(o options, stdout io.Writer, locked *lock.File, results []build.Result) error {
	var failed, missing, different []string
	for _, r := range results {
		switch r.Status {
		case build.Failed:
			failed = append(failed, r.Name)
		case build.NotBuilt:
			missing = append(missing, r.Name)
			fmt.Fprintf(stdout, "%s was NOT built: %v\n", r.Name, r.Err)
		}
		if r.Record == nil {
			continue
		}
		for _, text := range append(locked.Differences(r.Name, r.Record.Locked()), wrongVersion(r)...) {
			different = append(different, r.Name)
			fmt.Fprintf(stdout, "%s differs from what is locked: %s\n", r.Name, text)
		}
	}
	switch {
	case len(failed) > 0:
		return fmt.Errorf("not built: %s (see above)", strings.Join(failed, ", "))
	case len(missing) > 0 && o.requireAll:
		return fmt.Errorf("not built: %s", strings.Join(missing, ", "))
	case len(different) > 0 && o.locked:
		return fmt.Errorf("not what the lock file says: %s; `make lock` accepts it", strings.Join(slices.Compact(different), ", "))
	}
	return nil
}

// wrongVersion compares the image's tag with the upstream version of the package that it is named for.
func wrongVersion(r build.Result) []string {
	if r.VersionFrom == "" {
		return nil
	}
	_, ref, err := reference.Parse(r.Reference)
	if err != nil {
		return []string{err.Error()}
	}
	version, ok := r.Record.Packages[r.VersionFrom]
	if !ok {
		return []string{fmt.Sprintf("package %s, whose version the tag bears, is not in the image", r.VersionFrom)}
	}
	if held := reference.Upstream(version); held != ref.Version {
		return []string{fmt.Sprintf("package %s is %s, but the tag is %s: set newTag: %s-1 in base/images/kustomization.yaml", r.VersionFrom, version, ref.Tag(), held)}
	}
	return nil
}

func saveLock(stdout io.Writer, file string, former *lock.File, epoch int64, results []build.Result) error {
	current := &lock.File{Epoch: epoch, Images: map[string]lock.Image{}}
	// All images hold the base image's packages too, though the lock file does not repeat them.
	otherBase := slices.ContainsFunc(results, func(r build.Result) bool {
		return r.Name == recipe.Base && r.Record != nil && len(former.Differences(r.Name, r.Record.Locked())) > 0
	})
	var errs []error
	for _, r := range results {
		switch {
		case r.Record != nil:
			held := r.Record.Locked()
			current.Images[r.Name] = held
			for _, text := range wrongVersion(r) {
				errs = append(errs, fmt.Errorf("%s: %s", r.Name, text))
			}
			if was, ok := former.Images[r.Name]; ok && was.Tag == held.Tag && held.Tag != "" && (otherBase || len(former.Differences(r.Name, held)) > 0) {
				fmt.Fprintf(stdout, "%s holds other packages than before: raise its revision in base/images/kustomization.yaml (now %s)\n", r.Name, held.Tag)
			}
		case r.Status == build.NotBuilt:
			fmt.Fprintf(stdout, "%s was NOT built: %v\n", r.Name, r.Err)
			// What is not here has not changed either.
			if was, ok := former.Images[r.Name]; ok {
				current.Images[r.Name] = was
			}
		default:
			errs = append(errs, fmt.Errorf("%s was not built", r.Name))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("the lock file stays as it was: %w", errors.Join(errs...))
	}
	if err := current.Save(file); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s written\n", file)
	return nil
}

// prerequisites says what is missing on this machine.
func prerequisites() error {
	if os.Geteuid() != 0 {
		return errors.New("root is needed (sudo make images): the files of a root filesystem belong to root")
	}
	var missing []string
	for _, tool := range []string{"buildah", "mmdebstrap", "dpkg", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	if _, err := os.Stat(keyring); err != nil {
		missing = append(missing, "debian-archive-keyring")
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing on this machine: %s; `make deps` installs what is needed (on Debian and Ubuntu)", strings.Join(missing, ", "))
	}
	return nil
}

func loadImages(ctx context.Context, o options, stdout io.Writer) error {
	if len(o.args) == 0 {
		return &usageError{o.command + " where? see --help"}
	}
	var to load.Destination
	switch {
	case o.command == "push":
		to = load.Registry{Prefix: o.args[0], PlainHTTP: o.plainHTTP}
	case o.args[0] == "minikube":
		to = load.Minikube{Profile: o.profile}
	case o.args[0] == "containerd":
		to = load.Containerd{Address: o.address, Namespace: o.namespace}
	case o.args[0] == "docker":
		to = load.Docker{}
	default:
		return &usageError{fmt.Sprintf("load takes minikube, containerd or docker, not %q", o.args[0])}
	}
	_, targets, err := plan(o, o.args[1:])
	if err != nil {
		return err
	}
	var images []load.Image
	var missing []string
	for _, t := range targets {
		record, err := build.LoadRecord(o.out, t.Recipe.Name)
		if err != nil || record.Reference != t.Reference || !record.Intact(o.out) {
			missing = append(missing, t.Recipe.Name)
			continue
		}
		images = append(images, load.Image{Name: t.Recipe.Name, Reference: t.Reference, Archive: build.ArchiveFile(o.out, t.Recipe.Name)})
	}
	if len(missing) > 0 {
		fmt.Fprintf(stdout, "not built, so not loaded: %s\n", strings.Join(missing, ", "))
	}
	if len(images) == 0 {
		return fmt.Errorf("no image in %s: run `make images`", o.out)
	}
	if err := load.All(ctx, to, images, func(i load.Image) { fmt.Fprintf(stdout, "%s loaded\n", i.Reference) }); err != nil {
		return err
	}
	if len(missing) > 0 && (o.requireAll || len(o.args) > 1) {
		return fmt.Errorf("not loaded: %s", strings.Join(missing, ", "))
	}
	return nil
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
