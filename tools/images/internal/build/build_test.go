package build_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/build"
	"github.com/ft-services/ft-services/tools/images/internal/recipe"
)

// The programs that do the work are replaced by scripts that write prepared files and note that they
// were called: what is tested is what is built, when, and what an interruption leaves.
const (
	fakeMmdebstrap = `#!/bin/sh
echo "mmdebstrap" >>"$FAKE/calls"
for out; do :; done
[ ! -e "$FAKE/hang" ] || { touch "$FAKE/hanging"; exec sleep 60; }
cp "$FAKE/rootfs.tar" "$out"
`
	fakeBuildah = `#!/bin/sh
case "$*" in
*" build "*)
  for last; do :; done
  case "$*" in *"$(cat "$FAKE/fail" 2>/dev/null || echo none)/Dockerfile"*) echo "no such instruction" >&2; exit 3 ;; esac
  ls -R "$last" >>"$FAKE/contexts"
  echo "buildah $(echo "$*" | sed 's/.* -t \([^ ]*\) .*/\1/')" >>"$FAKE/calls" ;;
*" push "*)
  for last; do :; done
  cp "$FAKE/image.tar" "${last#oci-archive:}" ;;
esac
`
)

type world struct {
	t       *testing.T
	fake    string
	builder *build.Builder
	targets []build.Target
}

func newWorld(t *testing.T) *world {
	t.Helper()
	top := t.TempDir()
	w := &world{t: t, fake: filepath.Join(top, "fake")}
	bin := filepath.Join(top, "bin")
	require.NoError(t, os.MkdirAll(bin, 0o755))
	require.NoError(t, os.MkdirAll(w.fake, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "mmdebstrap"), []byte(fakeMmdebstrap), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "buildah"), []byte(fakeBuildah), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("FAKE", w.fake)

	layoutDir := t.TempDir()
	path, err := layout.Write(layoutDir, empty.Index)
	require.NoError(t, err)
	image, err := random.Image(2000, 2)
	require.NoError(t, err)
	require.NoError(t, path.AppendImage(image))
	packFS(t, layoutDir, filepath.Join(w.fake, "image.tar"))
	rootfs := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(rootfs, "file"), []byte("x"), 0o644))
	packFS(t, rootfs, filepath.Join(w.fake, "rootfs.tar"))

	images := filepath.Join(top, "images")
	w.builder = &build.Builder{Root: top, Out: filepath.Join(top, "out"), Downloads: filepath.Join(top, "downloads"), Epoch: 1, Jobs: 2}
	for _, name := range []string{"base", "db", "web"} {
		w.write(filepath.Join(images, name, "Dockerfile"), "FROM x\n")
		text := "version: \"1\"\n"
		if name == "db" {
			text += "packages: [mariadb-server-core]\n"
		}
		w.write(filepath.Join(images, name, "image.yaml"), text)
	}
	w.write(filepath.Join(images, "base", "finish.sh"), "#!/bin/sh\n")
	w.write(filepath.Join(images, "web", "rootfs", "etc", "motd"), "hello\n")
	w.reload()
	return w
}

func packFS(t *testing.T, dir, file string) {
	t.Helper()
	out, err := os.Create(file)
	require.NoError(t, err)
	tw := tar.NewWriter(out)
	require.NoError(t, tw.AddFS(os.DirFS(dir)))
	require.NoError(t, tw.Close())
	require.NoError(t, out.Close())
}

func (w *world) write(path, text string) {
	w.t.Helper()
	require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(w.t, os.WriteFile(path, []byte(text), 0o644))
}

func (w *world) image(elements ...string) string {
	return filepath.Join(append([]string{w.builder.Root, "images"}, elements...)...)
}

func (w *world) out(name string) string { return filepath.Join(w.builder.Out, name) }

func (w *world) reload() {
	w.t.Helper()
	all, err := recipe.LoadAll(w.image())
	require.NoError(w.t, err)
	w.builder.Base, w.targets = all[0], nil
	for _, r := range all[1:] {
		w.targets = append(w.targets, build.Target{Recipe: r, Reference: "localhost/x/" + r.Name + ":1-1"})
	}
}

// build builds and returns the statuses by name.
func (w *world) build() map[string]build.Status {
	w.t.Helper()
	w.reload()
	results, err := w.builder.Build(w.t.Context(), w.targets)
	require.NoError(w.t, err)
	statuses := map[string]build.Status{}
	for _, r := range results {
		statuses[r.Name] = r.Status
	}
	return statuses
}

func (w *world) calls() string {
	text, err := os.ReadFile(filepath.Join(w.fake, "calls"))
	if err != nil {
		return ""
	}
	return string(text)
}

var (
	allBuilt     = map[string]build.Status{"base": build.Built, "db": build.Built, "web": build.Built}
	allUnchanged = map[string]build.Status{"base": build.Unchanged, "db": build.Unchanged, "web": build.Unchanged}
)

func TestOnlyWhatChangedIsBuilt(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, allBuilt, w.build())
	assert.Equal(t, 2, strings.Count(w.calls(), "mmdebstrap"), "an image without packages needs no root filesystem of its own")
	for _, file := range []string{"base", "db", "web"} {
		for _, suffix := range []string{".oci.tar", ".json", ".spdx.json"} {
			assert.FileExists(t, w.out(file+suffix))
		}
	}
	before := w.calls()
	require.Equal(t, allUnchanged, w.build())
	assert.Equal(t, before, w.calls(), "nothing is called when nothing changed")

	webOnly := map[string]build.Status{"base": build.Unchanged, "db": build.Unchanged, "web": build.Built}
	tests := map[string]struct {
		change func()
		want   map[string]build.Status
	}{
		"Dockerfile":             {func() { w.write(w.image("web", "Dockerfile"), "FROM y\n") }, webOnly},
		"recipe":                 {func() { w.write(w.image("web", "image.yaml"), "version: \"2\"\n") }, webOnly},
		"file":                   {func() { w.write(w.image("web", "rootfs", "etc", "motd"), "changed\n") }, webOnly},
		"new file":               {func() { w.write(w.image("web", "rootfs", "etc", "issue"), "") }, webOnly},
		"executable bit":         {func() { require.NoError(t, os.Chmod(w.image("web", "rootfs", "etc", "motd"), 0o755)) }, webOnly},
		"link":                   {func() { require.NoError(t, os.Symlink("motd", w.image("web", "rootfs", "etc", "link"))) }, webOnly},
		"archive cut off":        {func() { require.NoError(t, os.Truncate(w.out("web.oci.tar"), 700)) }, webOnly},
		"archive gone":           {func() { require.NoError(t, os.Remove(w.out("web.oci.tar"))) }, webOnly},
		"record gone":            {func() { require.NoError(t, os.Remove(w.out("web.json"))) }, webOnly},
		"record is junk":         {func() { w.write(w.out("web.json"), "{") }, webOnly},
		"SBOM gone":              {func() { require.NoError(t, os.Remove(w.out("web.spdx.json"))) }, webOnly},
		"time of the files":      {func() { w.builder.Epoch++ }, allBuilt},
		"forced":                 {func() { w.builder.Force = true }, allBuilt},
		"a file's time, nothing": {func() { require.NoError(t, os.Chtimes(w.image("web", "Dockerfile"), time.Now(), time.Unix(1, 0))) }, allUnchanged},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w.build()
			test.change()
			got := w.build()
			w.builder.Force = false
			assert.Equal(t, test.want, got)
			assert.Equal(t, allUnchanged, w.build())
		})
	}
}

func TestChangedBase(t *testing.T) {
	w := newWorld(t)
	w.build()
	// What is done to all root filesystems may leave the base image as it was, but not the others.
	changed := map[string]build.Status{"base": build.Built, "db": build.Built, "web": build.Unchanged}
	w.write(w.image("base", "finish.sh"), "#!/bin/sh\necho\n")
	assert.Equal(t, changed, w.build())
	w.write(w.image("base", "image.yaml"), "version: \"1\"\nexclude: [/usr/share/mysql/*]\n")
	assert.Equal(t, changed, w.build())
	assert.Equal(t, allUnchanged, w.build())
}

func TestDamagedBaseRootfs(t *testing.T) {
	w := newWorld(t)
	w.build()
	for name, damage := range map[string]func() error{
		"cut off": func() error { return os.Truncate(w.out("base.rootfs.tar"), 100) },
		"gone":    func() error { return os.Remove(w.out("base.rootfs.tar")) },
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, damage())
			assert.Equal(t, build.Built, w.build()["base"])
			assert.Equal(t, allUnchanged, w.build())
		})
	}
}

func TestOneFailureDoesNotStopTheOthers(t *testing.T) {
	w := newWorld(t)
	w.write(filepath.Join(w.fake, "fail"), "web")
	w.reload()
	results, err := w.builder.Build(t.Context(), w.targets)
	require.NoError(t, err)
	require.Len(t, results, 3)
	assert.Equal(t, build.Built, results[1].Status)
	assert.Equal(t, build.Failed, results[2].Status)
	assert.ErrorContains(t, results[2].Err, w.image("web", "Dockerfile"))
	assert.ErrorContains(t, results[2].Err, "no such instruction", "the program's own words are shown")
	assert.NoFileExists(t, w.out("web.oci.tar"))

	w.write(filepath.Join(w.fake, "fail"), "base")
	w.write(w.image("base", "Dockerfile"), "FROM z\n")
	assert.Equal(t, map[string]build.Status{"base": build.Failed, "db": build.Failed, "web": build.Failed}, w.build())
}

func TestMissingArchive(t *testing.T) {
	w := newWorld(t)
	w.build()
	w.write(w.image("web", "image.yaml"), "version: \"1\"\narchive: {file: a.tgz, url: \"https://127.0.0.1:1/a.tgz\", size: 1, sha512: "+strings.Repeat("a", 128)+"}\n")
	assert.Equal(t, map[string]build.Status{"base": build.Unchanged, "db": build.Unchanged, "web": build.NotBuilt}, w.build())
	assert.NoFileExists(t, w.out("web.oci.tar"), "an image of former files does not stand in for it")
}

func TestArchive(t *testing.T) {
	w := newWorld(t)
	var content bytes.Buffer
	z := gzip.NewWriter(&content)
	tw := tar.NewWriter(z)
	for _, name := range []string{"web-1/bin/web", "web-1/docs/manual"} {
		require.NoError(t, tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755}))
	}
	require.NoError(t, tw.Close())
	require.NoError(t, z.Close())
	sum := sha512.Sum512(content.Bytes())
	w.write(w.image("web", "image.yaml"), fmt.Sprintf(
		"version: \"1\"\narchive: {file: a.tgz, url: \"https://127.0.0.1:1/a.tgz\", size: %d, sha512: %x, exclude: [docs]}\n", content.Len(), sum))
	w.write(filepath.Join(w.builder.Downloads, "a.tgz"), content.String())
	assert.Equal(t, allBuilt, w.build())
	contexts, err := os.ReadFile(filepath.Join(w.fake, "contexts"))
	require.NoError(t, err)
	assert.Contains(t, string(contexts), "context/archive/bin:\nweb\n")
	assert.NotContains(t, string(contexts), "manual")
	assert.Equal(t, allUnchanged, w.build())

	w.write(filepath.Join(w.builder.Downloads, "a.tgz"), strings.Repeat("x", content.Len()))
	assert.Equal(t, map[string]build.Status{"base": build.Unchanged, "db": build.Unchanged, "web": build.Failed}, w.build(),
		"a damaged archive is a failure, not an absence")
}

func TestInterruption(t *testing.T) {
	w := newWorld(t)
	w.write(filepath.Join(w.fake, "hang"), "")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for range 500 {
			if _, err := os.Stat(filepath.Join(w.fake, "hanging")); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	w.reload()
	began := time.Now()
	_, err := w.builder.Build(ctx, w.targets)
	require.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(began), 30*time.Second, "the program was ended")
	left, err := filepath.Glob(w.out("*.oci.tar*"))
	require.NoError(t, err)
	assert.Empty(t, left)
	left, err = filepath.Glob(w.out(".work-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
	require.NoError(t, os.Remove(filepath.Join(w.fake, "hang")))
	assert.Equal(t, allBuilt, w.build())
}

func TestOneBuildAtATime(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, os.MkdirAll(w.builder.Out, 0o755))
	f, err := os.Create(w.out(".lock"))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	_, err = w.builder.Build(t.Context(), w.targets)
	assert.ErrorContains(t, err, "another build writes to")
}

func TestScratchOfAKilledBuild(t *testing.T) {
	w := newWorld(t)
	w.write(w.out(".work-1/web/storage/x"), "")
	w.write(w.out("programs/.build-1/web"), "")
	// As mmdebstrap does, it goes on when the build is gone, and does not listen to SIGTERM.
	orphan := exec.Command("sh", "-c", `trap "" TERM; while mkdir -p "$TMPDIR/new"; do :; done`)
	orphan.Env = append(os.Environ(), "TMPDIR="+w.out(".work-1/db/tmp"))
	require.NoError(t, orphan.Start())
	stranger := exec.Command("sleep", "60")
	stranger.Dir = w.out(".work-1")
	require.NoError(t, stranger.Start())
	t.Cleanup(func() {
		_ = orphan.Process.Kill()
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	})
	w.build()
	var ended *exec.ExitError
	require.ErrorAs(t, orphan.Wait(), &ended)
	assert.Equal(t, syscall.SIGKILL, ended.Sys().(syscall.WaitStatus).Signal())
	assert.NoError(t, stranger.Process.Signal(syscall.Signal(0)), "somebody stands in the folder, no more")
	for _, pattern := range []string{".work-*", "programs/.build-*"} {
		left, err := filepath.Glob(w.out(pattern))
		require.NoError(t, err)
		assert.Empty(t, left)
	}
}
