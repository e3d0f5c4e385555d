package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// TestInAnotherRepository publishes the module as a proxy would serve it, and runs it by its name and
// version in a repository that knows nothing of it, with no other source of modules than what is on
// this machine.
func TestInAnotherRepository(t *testing.T) {
	const name = "github.com/ft-services/ft-services"
	proxy := t.TempDir()
	version := publish(t, proxy, name)
	cache := goEnv(t, "GOMODCACHE")
	t.Cleanup(func() {
		dir := filepath.Join(cache, name+"@"+version)
		assert.NoError(t, os.RemoveAll(dir)) // Writable because of -modcacherw.
		downloads, err := filepath.Glob(filepath.Join(cache, "cache/download", name, "@v", version+".*"))
		assert.NoError(t, err)
		for _, file := range append(downloads, filepath.Join(cache, "cache/download", name, "@v/list")) {
			assert.NoError(t, os.Remove(file))
		}
	})

	elsewhere := t.TempDir()
	for file, text := range map[string]string{
		"deploy/kustomization.yaml": "namespace: shop\nresources: [service.yaml]\n",
		"deploy/service.yaml":       "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  type: NodePort\n  selector: {app: web}\n  ports: [{name: http, port: 80}]\n",
		"rules/main.rego":           "package main\n\ndeny contains \"no team\" if not input.metadata.labels.team\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(elsewhere, file)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(elsewhere, file), []byte(text), 0o600))
	}
	for what, test := range map[string]struct {
		args []string
		want []string
	}{
		"embedded policies": {[]string{"deploy"}, []string{"Service/shop/web  deploy/service.yaml:5:9", "error services/no_nodeport  spec.type = \"NodePort\""}},
		"conftest's":        {[]string{"--policies", "rules", "."}, []string{"Service/shop/web  deploy/service.yaml", "error main/deny\n      no team"}},
	} {
		t.Run(what, func(t *testing.T) {
			command := exec.Command("go", append([]string{"run", name + "/tools/validate@" + version}, test.args...)...)
			command.Dir = elsewhere
			command.Env = append(os.Environ(),
				"GOPROXY=file://"+proxy+",file://"+filepath.Join(cache, "cache/download"),
				"GONOSUMDB=*", "GOSUMDB=off", "GONOPROXY=none", "GOWORK=off", "GOTOOLCHAIN=local",
				"GOFLAGS=-modcacherw -buildvcs=false")
			var stdout, stderr bytes.Buffer
			command.Stdout, command.Stderr = &stdout, &stderr
			var failure *exec.ExitError
			require.ErrorAs(t, command.Run(), &failure, "%s", &stdout)
			for _, want := range test.want {
				assert.Contains(t, stdout.String(), want, "%s", &stderr)
			}
			assert.Contains(t, stderr.String(), "exit status 1", "what go run makes of a violation")
		})
	}
}

// publish writes what a module proxy serves of the working tree, and returns its version, which nobody
// else's module can have.
func publish(t *testing.T, proxy, name string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	list, err := exec.Command("git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	require.NoError(t, err)
	var files []zip.File
	for path := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		// What is deleted and not committed yet is still listed.
		if info, err := os.Lstat(filepath.Join(root, path)); err == nil && info.Mode().IsRegular() {
			files = append(files, treeFile{root, path})
		}
	}
	var packed bytes.Buffer
	digest := sha256.New()
	probe := module.Version{Path: name, Version: "v0.0.0-0.published"}
	require.NoError(t, zip.Create(digest, probe, files))
	version := fmt.Sprintf("v0.0.0-0.published%x", digest.Sum(nil)[:8])
	require.NoError(t, zip.Create(&packed, module.Version{Path: name, Version: version}, files))

	dir := filepath.Join(proxy, name, "@v")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	about, err := json.Marshal(map[string]any{"Version": version, "Time": time.Unix(0, 0).UTC()})
	require.NoError(t, err)
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	for file, content := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": about, version + ".mod": mod, version + ".zip": packed.Bytes()} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), content, 0o600))
	}
	return version
}

// treeFile is a file of the working tree in a module.
type treeFile struct{ root, path string }

func (f treeFile) Path() string                 { return f.path }
func (f treeFile) Lstat() (os.FileInfo, error)  { return os.Lstat(filepath.Join(f.root, f.path)) }
func (f treeFile) Open() (io.ReadCloser, error) { return os.Open(filepath.Join(f.root, f.path)) }

func goEnv(t *testing.T, variable string) string {
	t.Helper()
	value, err := exec.Command("go", "env", variable).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(value))
}
