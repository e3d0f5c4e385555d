package inventory_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/inventory"
	"github.com/ft-services/ft-services/tools/images/internal/layers/tiny"
)

const status = `Package: zlib1g
Status: install ok installed
Priority: required
Installed-Size: 168
Maintainer: Mark Brown <broonie@debian.org>
Architecture: amd64
Multi-Arch: same
Source: zlib
Version: 1:1.2.13.dfsg-1
Description: compression library - runtime
 zlib is a library.
 .
 Package: this is text, not a field
Homepage: http://zlib.net/

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: base-files
Essential: yes
Status: install ok unpacked
Architecture: amd64
Version: 12.4+deb12u12
Conffiles:
 /etc/debian_version 3f2d
 /etc/issue 1234

Package: bsdutils
Status: install ok installed
Architecture: amd64
Source: util-linux (2.38.1-5+deb12u3)
Version: 1:2.38.1-5+deb12u3
Installed-Size: 355
`

func TestPackages(t *testing.T) {
	for name, end := range map[string]string{"with an empty last line": "\n", "without": ""} {
		t.Run(name, func(t *testing.T) {
			found, err := inventory.Read(tiny.Image(t, []tiny.Entry{tiny.File("./var/lib/dpkg/status", status+end)}))
			require.NoError(t, err)
			assert.Equal(t, []inventory.Package{
				{Name: "base-files", Version: "12.4+deb12u12", Architecture: "amd64", Source: "base-files", SourceVersion: "12.4+deb12u12"},
				{Name: "bsdutils", Version: "1:2.38.1-5+deb12u3", Architecture: "amd64", Source: "util-linux", SourceVersion: "2.38.1-5+deb12u3", InstalledSize: 355 * 1024},
				{
					Name: "zlib1g", Version: "1:1.2.13.dfsg-1", Architecture: "amd64", Source: "zlib", SourceVersion: "1:1.2.13.dfsg-1",
					Homepage: "http://zlib.net/", Maintainer: "Mark Brown <broonie@debian.org>", InstalledSize: 168 * 1024,
				},
			}, found.Packages)
		})
	}
}

func TestBrokenStatus(t *testing.T) {
	for name, test := range map[string]struct{ status, want string }{
		"no version":        {"Package: a\nStatus: install ok installed\nArchitecture: all\n", `package "a" has no field Version`},
		"no colon":          {"Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\nnonsense\n", `stanza after package "a"`},
		"size is no number": {"Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nInstalled-Size: much\n", `"much" is no number`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := inventory.Read(tiny.Image(t, []tiny.Entry{tiny.File("var/lib/dpkg/status", test.status)}))
			require.ErrorContains(t, err, test.want)
			assert.ErrorContains(t, err, "var/lib/dpkg/status")
		})
	}
}

func TestUpperLayerWins(t *testing.T) {
	lower := []tiny.Entry{
		tiny.File("var/lib/dpkg/status", status),
		tiny.File("usr/share/gone", "1234567"),
	}
	upper := []tiny.Entry{
		tiny.File("var/lib/dpkg/status", "Package: only\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n"),
		tiny.File("usr/share/.wh.gone", ""),
	}
	found, err := inventory.Read(tiny.Image(t, lower, upper))
	require.NoError(t, err)
	require.Len(t, found.Packages, 1)
	assert.Equal(t, "only", found.Packages[0].Name)
	assert.Equal(t, int64(len(upper[0].Content)), found.Size, "what the upper layer hides does not count")
	require.Len(t, found.Layers, 2)
	assert.Equal(t, int64(len(status)+7), found.Layers[0].Size)
	assert.Equal(t, int64(len(upper[0].Content)), found.Layers[1].Size)
	assert.Positive(t, found.Layers[0].StoredSize)
	assert.NotEqual(t, found.Layers[0].Digest, found.Layers[1].Digest)
}

func TestHardLinksCountOnce(t *testing.T) {
	found, err := inventory.Read(tiny.Image(t, []tiny.Entry{
		tiny.File("usr/bin/perl", "0123456789"),
		tiny.HardLink("usr/bin/perl5.36.0", "usr/bin/perl", 0o755),
		tiny.Link("usr/bin/p", "perl"),
	}))
	require.NoError(t, err)
	assert.Equal(t, int64(10), found.Size)
	assert.Equal(t, int64(10), found.Layers[0].Size)
}

func TestRelease(t *testing.T) {
	const text = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n"
	want := inventory.Release{ID: "debian", VersionID: "12", Codename: "bookworm", Full: "12.12"}
	for name, test := range map[string]struct {
		entries []tiny.Entry
		want    inventory.Release
	}{
		"link": {[]tiny.Entry{
			tiny.Link("etc/os-release", "../usr/lib/os-release"), tiny.File("usr/lib/os-release", text), tiny.File("etc/debian_version", "12.12\n"),
		}, want},
		"file": {[]tiny.Entry{tiny.File("etc/os-release", text), tiny.File("etc/debian_version", "12.12\n")}, want},
		"debian_version alone": {
			[]tiny.Entry{tiny.File("etc/debian_version", "12.12\n")},
			inventory.Release{ID: "debian", VersionID: "12", Full: "12.12"},
		},
		"nothing": {[]tiny.Entry{tiny.File("etc/hostname", "x")}, inventory.Release{}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := inventory.Read(tiny.Image(t, test.entries))
			require.NoError(t, err)
			assert.Equal(t, test.want, found.Release)
		})
	}
}

func TestPrograms(t *testing.T) {
	binary := build(t, map[string]string{
		"go.mod": "module example.com/service\n\ngo 1.26\n\nrequire example.com/library v1.2.3\n\n" +
			"replace example.com/library => ./library\n",
		"main.go":            "package main\n\nimport \"example.com/library\"\n\nfunc main() { library.Serve() }\n",
		"library/go.mod":     "module example.com/library\n\ngo 1.26\n",
		"library/library.go": "package library\n\nfunc Serve() {}\n",
	})
	found, err := inventory.Read(tiny.Image(t, []tiny.Entry{
		tiny.File("usr/bin/service", string(binary)).Mode(0o755),
		tiny.File("usr/bin/script", "#!/bin/sh\n").Mode(0o755),
		tiny.File("usr/bin/empty", "").Mode(0o755),
		tiny.File("usr/bin/c-program", "\x7fELF and no more").Mode(0o755),
		tiny.File("usr/share/not-executable", string(binary)),
	}))
	require.NoError(t, err)
	require.Len(t, found.Programs, 1)
	program := found.Programs[0]
	sum := sha256.Sum256(binary)
	assert.Equal(t, "usr/bin/service", program.Path)
	assert.Equal(t, hex.EncodeToString(sum[:]), program.SHA256)
	assert.Equal(t, strings.TrimPrefix(runtime.Version(), "go"), program.GoVersion)
	assert.Equal(t, "example.com/service", program.Package)
	assert.Equal(t, inventory.Module{Path: "example.com/service", Version: "(devel)"}, program.Main)
	assert.Equal(t, []inventory.Module{{Path: "example.com/library", Version: "(devel)"}}, program.Modules)
}

// build links a program of the given files, without the network.
func build(t *testing.T, files map[string]string) []byte {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		file := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	command := exec.Command("go", "build", "-buildvcs=false", "-o", "program", ".")
	command.Dir = folder
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=", "GOPROXY=off", "GOWORK=off")
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
	binary, err := os.ReadFile(filepath.Join(folder, "program"))
	require.NoError(t, err)
	return binary
}

func TestDamagedProgram(t *testing.T) {
	_, err := inventory.Read(tiny.Image(t, []tiny.Entry{
		tiny.File("usr/bin/damaged", "\x7fELF\xff Go build"+"inf: and no more").Mode(0o755),
	}))
	require.ErrorContains(t, err, "usr/bin/damaged")
}

func TestSameImageSameInventory(t *testing.T) {
	read := func() inventory.Inventory {
		found, err := inventory.Read(tiny.Image(t, []tiny.Entry{tiny.File("var/lib/dpkg/status", status)}))
		require.NoError(t, err)
		return found
	}
	first := read()
	assert.Equal(t, first, read())
	assert.Regexp(t, "^sha256:[0-9a-f]{64}$", first.Digest)
}
