// Package build builds images: what changed, in parallel, and so that nothing half-made is ever taken
// for whole.
package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ft-services/ft-services/tools/images/internal/command"
	"github.com/ft-services/ft-services/tools/images/internal/download"
	"github.com/ft-services/ft-services/tools/images/internal/ociarchive"
	"github.com/ft-services/ft-services/tools/images/internal/program"
	"github.com/ft-services/ft-services/tools/images/internal/recipe"
	"github.com/ft-services/ft-services/tools/images/internal/rootfs"
)

// keyVersion changes when this package makes something else of the same files.
const keyVersion = "3"

// finishScript removes what only installing needed; it lies in the base image's folder.
const finishScript = "finish.sh"

// baseReference is how a Dockerfile calls the base image. It is in no overlay: only builds use it.
const baseReference = "localhost/ft-services/base"

// Builder builds the images of a repository.
type Builder struct {
	Root      string // the repository
	Out       string // where the archives go
	Downloads string // where a vendor's archive lies or is put
	Mirror    string // Debian mirror; empty: mmdebstrap's own choice
	Epoch     int64  // seconds since 1970: the time of every file
	Jobs      int    // how many images at a time
	Force     bool   // build what has not changed too

	Base     *recipe.Recipe
	Progress func(image, text string)
}

// Target is an image to build, and the name that it gets.
type Target struct {
	Recipe    *recipe.Recipe
	Reference string
}

// Status says what became of an image.
type Status string

// Statuses of an image.
const (
	Built     Status = "built"
	Unchanged Status = "unchanged"
	NotBuilt  Status = "not built" // what it is made of cannot be had here
	Failed    Status = "failed"
)

// Result is what became of one image. Record is nil unless there is an archive.
type Result struct {
	Name        string
	Reference   string
	VersionFrom string // the package whose version the tag bears, if any
	Status      Status
	Err         error
	Record      *Record
	Took        time.Duration
}

// Build builds the base image and the targets, and returns a result for each of them, base first. A
// failure of one does not keep the others from being built.
func (b *Builder) Build(ctx context.Context, targets []Target) ([]Result, error) {
	unlock, err := lockFolder(b.Out)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(b.Out); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(b.Out, workPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a scratch folder: %w", err)
	}
	defer func() { _ = remove(work) }()

	// Programs need no root filesystem: they are built while the base image is.
	group := errgroup.Group{}
	group.SetLimit(max(1, b.Jobs))
	base := Target{Recipe: b.Base, Reference: baseReference + ":" + rootfs.Suite}
	all := append([]Target{base}, targets...)
	results := make([]Result, len(all))
	baseDone := make(chan struct{})
	var starts sync.WaitGroup
	run := func(i int) {
		began := time.Now()
		results[i] = b.one(ctx, all[i], work, func() (*Record, error) {
			if i == 0 {
				return nil, nil
			}
			<-baseDone
			if results[0].Record == nil {
				return nil, errors.New("the base image was not built")
			}
			return results[0].Record, nil
		})
		results[i].Took = time.Since(began)
		b.say(all[i].Recipe.Name, results[i].line())
	}
	starts.Go(func() { defer close(baseDone); run(0) })
	// What takes longest begins first.
	order := make([]int, 0, len(targets))
	for i := 1; i < len(all); i++ {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(x, y int) int { return weight(all[y].Recipe) - weight(all[x].Recipe) })
	for _, i := range order {
		group.Go(func() error { run(i); return nil })
	}
	starts.Wait()
	_ = group.Wait()
	if ctx.Err() != nil {
		return results, context.Cause(ctx)
	}
	return results, nil
}

// weight estimates how long an image takes.
func weight(r *recipe.Recipe) int { return 100*len(r.Go) + len(r.Packages) }

func (r Result) line() string {
	if r.Err != nil {
		return fmt.Sprintf("%s: %v", r.Status, r.Err)
	}
	return fmt.Sprintf("%s (%.0f s)", r.Status, r.Took.Seconds())
}

func (b *Builder) say(image, text string) {
	if b.Progress != nil {
		b.Progress(image, text)
	}
}

// one builds one image. waitForBase returns the base image's record; it is called as late as possible.
func (b *Builder) one(ctx context.Context, t Target, work string, waitForBase func() (*Record, error)) Result {
	result := Result{Name: t.Recipe.Name, Reference: t.Reference, VersionFrom: t.Recipe.VersionFrom, Status: Failed}
	in, err := b.inputs(ctx, t)
	if err != nil {
		result.Err = err
		if unavailable := (*download.UnavailableError)(nil); errors.As(err, &unavailable) {
			result.Status = NotBuilt
			// An archive of former files must not pass for this image.
			result.Err = errors.Join(err, discard(b.Out, t.Recipe.Name))
		}
		return result
	}
	base, err := waitForBase()
	if err != nil {
		result.Err = err
		return result
	}
	key, err := b.key(t, in, base)
	if err != nil {
		result.Err = err
		return result
	}
	if record, err := LoadRecord(b.Out, t.Recipe.Name); err == nil && !b.Force && record.Key == key && record.Intact(b.Out) {
		result.Status, result.Record = Unchanged, record
		return result
	}
	dir := filepath.Join(work, t.Recipe.Name)
	began := time.Now()
	if err := b.make(ctx, t, in, base, dir); err != nil {
		result.Err = err
		return result
	}
	record, err := b.keep(t, key, filepath.Join(dir, "image.tar"), base, time.Since(began))
	if err != nil {
		result.Err = err
		return result
	}
	result.Status, result.Record = Built, record
	// Scratch files of one image are large; the next needs the room.
	if err := remove(dir); err != nil {
		result.Status, result.Err = Failed, err
	}
	return result
}

// inputs are what an image is made of besides its folder and its packages.
type inputs struct {
	programs map[string]string // built programs by name
	archive  string            // the vendor's archive
}

func (b *Builder) inputs(ctx context.Context, t Target) (inputs, error) {
	in := inputs{programs: map[string]string{}}
	for _, p := range t.Recipe.Go {
		b.say(t.Recipe.Name, "building "+p.Package)
		file, err := program.Build(ctx, b.Root, filepath.Join(b.Out, programsDir), p)
		if err != nil {
			return in, err
		}
		in.programs[p.Output] = file
	}
	if a := t.Recipe.Archive; a != nil {
		b.say(t.Recipe.Name, "looking for "+a.File)
		file, err := download.Get(ctx, download.Client(), b.Downloads, *a)
		if err != nil {
			return in, err
		}
		in.archive = file
	}
	return in, nil
}

// key is a checksum of everything that decides what the image is, but for the packages' versions: what
// Debian has changed since is no reason to build again until somebody asks for it.
func (b *Builder) key(t Target, in inputs, base *Record) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%d\n%s\n", keyVersion, t.Reference, b.Epoch, rootfs.Suite)
	if base != nil {
		fmt.Fprintf(sum, "base %s\n", base.ManifestDigest)
		if len(t.Recipe.Packages) > 0 {
			// finish.sh, `exclude` and `purge` of the base image hold here too, even what leaves the base
			// image as it was.
			fmt.Fprintf(sum, "made as %s\n", base.Key)
		}
	}
	files := []string{recipe.File, recipe.Dockerfile}
	if t.Recipe.Name == recipe.Base {
		files = append(files, finishScript)
	}
	if err := hashFolder(sum, filepath.Join(t.Recipe.Dir, recipe.RootfsDir)); err != nil {
		return "", err
	}
	for _, name := range files {
		if err := hashFile(sum, name, filepath.Join(t.Recipe.Dir, name)); err != nil {
			return "", err
		}
	}
	for _, p := range t.Recipe.Go {
		if err := hashFile(sum, p.Output, in.programs[p.Output]); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func hashFile(sum io.Writer, name, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read what the image is made of: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read what the image is made of: %w", err)
	}
	fmt.Fprintf(sum, "file %q %t %d\n", name, info.Mode()&0o100 != 0, info.Size())
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}

func hashFolder(sum io.Writer, dir string) error {
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			fmt.Fprintf(sum, "dir %q\n", name)
		case entry.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(sum, "link %q %q\n", name, target)
		default:
			return hashFile(sum, name, path)
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// make builds the image into dir/image.tar.
func (b *Builder) make(ctx context.Context, t Target, in inputs, base *Record, dir string) error {
	r := t.Recipe
	buildContext := filepath.Join(dir, "context")
	if err := os.MkdirAll(buildContext, 0o755); err != nil {
		return fmt.Errorf("make a scratch folder: %w", err)
	}
	if err := b.makeRootfs(ctx, r, base, dir, filepath.Join(buildContext, "rootfs.tar")); err != nil {
		return err
	}
	if err := b.fillContext(r, in, buildContext); err != nil {
		return err
	}
	b.say(r.Name, "building the image")
	return b.runBuildah(ctx, t, base, dir, buildContext)
}

// baseRootfs is the base image's root filesystem, by which the others' layers are found.
func (b *Builder) baseRootfs() string { return filepath.Join(b.Out, recipe.Base+rootfsSuffix) }

func (b *Builder) makeRootfs(ctx context.Context, r *recipe.Recipe, base *Record, dir, out string) error {
	if r.Name != recipe.Base && len(r.Packages) == 0 {
		// Nothing besides the base image: an empty layer.
		return rootfs.Delta(b.baseRootfs(), b.baseRootfs(), out)
	}
	b.say(r.Name, "making the root filesystem")
	options := rootfs.Options{
		Packages: r.Packages, Exclude: r.Exclude, Purge: r.Purge,
		Finish: filepath.Join(b.Base.Dir, finishScript), Epoch: b.Epoch, Mirror: b.Mirror,
		WorkDir: filepath.Join(dir, "tmp"), Log: filepath.Join(b.Out, r.Name+".log"),
	}
	full := filepath.Join(dir, "full.tar")
	if base != nil {
		options.Packages = slices.Concat(b.Base.Packages, r.Packages)
		options.Exclude = slices.Concat(b.Base.Exclude, r.Exclude)
		options.Purge = slices.Concat(b.Base.Purge, r.Purge)
	}
	if err := os.MkdirAll(options.WorkDir, 0o755); err != nil {
		return fmt.Errorf("make a scratch folder: %w", err)
	}
	if err := rootfs.Make(ctx, full, options); err != nil {
		return err
	}
	if base != nil {
		return rootfs.Delta(b.baseRootfs(), full, out)
	}
	if err := os.Link(full, out); err != nil {
		return fmt.Errorf("put the root filesystem into the build context: %w", err)
	}
	return nil
}

func (b *Builder) fillContext(r *recipe.Recipe, in inputs, dir string) error {
	source := filepath.Join(r.Dir, recipe.RootfsDir)
	if _, err := os.Stat(source); err == nil {
		if err := os.CopyFS(filepath.Join(dir, recipe.RootfsDir), os.DirFS(source)); err != nil {
			return fmt.Errorf("copy %s: %w", source, err)
		}
	}
	for name, file := range in.programs {
		if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
			return fmt.Errorf("fill the build context: %w", err)
		}
		if err := os.Link(file, filepath.Join(dir, "bin", name)); err != nil {
			return fmt.Errorf("fill the build context: %w", err)
		}
	}
	if in.archive != "" {
		if err := download.Unpack(in.archive, filepath.Join(dir, "archive"), r.Archive.Exclude); err != nil {
			return err
		}
	}
	return setTimes(dir, b.Epoch)
}

// setTimes gives every file the same time: the checksums of folders in an image's history count times,
// though the layer does not have them.
func setTimes(dir string, epoch int64) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("fill the build context: %w", err)
		}
		times := []unix.Timespec{{Sec: epoch}, {Sec: epoch}}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("set the time of %s: %w", path, err)
		}
		return nil
	})
}

// runBuildah builds the Dockerfile in a storage of its own, which holds the base image and nothing
// else: no build can see another's images, and none can pull.
func (b *Builder) runBuildah(ctx context.Context, t Target, base *Record, dir, buildContext string) error {
	log := filepath.Join(dir, "buildah.log")
	buildah := func(args ...string) error {
		global := []string{
			"--root", filepath.Join(dir, "storage"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs",
		}
		return command.Run(ctx, log, []string{"TMPDIR=" + dir, "BUILDAH_ISOLATION=chroot"}, "buildah", append(global, args...)...)
	}
	if base != nil {
		if err := buildah("pull", "--quiet", "oci-archive:"+filepath.Join(b.Out, recipe.Base+archiveSuffix)); err != nil {
			return fmt.Errorf("read the base image: %w", err)
		}
		if err := buildah("tag", base.Reference, baseReference); err != nil {
			return fmt.Errorf("name the base image: %w", err)
		}
	}
	args := []string{
		"build", "--pull-never", "--format", "oci", "--layers=false", "--timestamp", strconv.FormatInt(b.Epoch, 10),
		"--label", "org.opencontainers.image.title=" + t.Recipe.Name,
		"--label", "org.opencontainers.image.version=" + tagOf(t.Reference),
		"--identity-label=false",
		"-f", filepath.Join(t.Recipe.Dir, recipe.Dockerfile), "-t", t.Reference, buildContext,
	}
	if err := buildah(args...); err != nil {
		return fmt.Errorf("build %s: %w", filepath.Join(t.Recipe.Dir, recipe.Dockerfile), err)
	}
	if err := buildah("push", "--quiet", t.Reference, "oci-archive:"+filepath.Join(dir, "image.tar")); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	return nil
}

// keep moves what was built to its place: the archive and what goes with it, and the record last, since
// the record is what the next build believes.
func (b *Builder) keep(t Target, key, built string, base *Record, took time.Duration) (*Record, error) {
	name := t.Recipe.Name
	if err := discard(b.Out, name); err != nil {
		return nil, err
	}
	if base == nil {
		from := filepath.Join(filepath.Dir(built), "full.tar")
		if err := os.Rename(from, b.baseRootfs()); err != nil {
			return nil, fmt.Errorf("keep the base image's root filesystem: %w", err)
		}
	}
	archive := filepath.Join(b.Out, name+archiveSuffix)
	if err := ociarchive.Write(built, archive, t.Reference); err != nil {
		return nil, err
	}
	record, err := newRecord(archive, t, key, b.Epoch, base, took)
	if err != nil {
		return nil, err
	}
	if base == nil {
		if record.RootfsSHA256, err = hashOf(b.baseRootfs()); err != nil {
			return nil, err
		}
	}
	return record, record.save(b.Out)
}

// discard removes an image's record before its archive, so that the archive is never believed without.
func discard(out, name string) error {
	var errs []error
	for _, suffix := range []string{recordSuffix, archiveSuffix, sbomSuffix} {
		if err := os.Remove(filepath.Join(out, name+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove the former image: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (r *Record) save(out string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the record of image %s: %w", r.Name, err)
	}
	file := filepath.Join(out, r.Name+recordSuffix)
	if err := os.WriteFile(file+".partial", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the record of image %s: %w", r.Name, err)
	}
	if err := os.Rename(file+".partial", file); err != nil {
		return fmt.Errorf("write the record of image %s: %w", r.Name, err)
	}
	return nil
}
