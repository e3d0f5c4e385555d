package sbom_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/images/internal/inventory"
	"github.com/ft-services/ft-services/tools/images/internal/sbom"
)

var update = flag.Bool("update", false, "write the golden file anew")

const reference = "localhost/ft-services/telegraf:1.37.2-1"

var created = time.Unix(1764000000, 0)

func example() inventory.Inventory {
	return inventory.Inventory{
		Digest:  "sha256:" + strings.Repeat("ab", 32),
		Release: inventory.Release{ID: "debian", VersionID: "12", Codename: "bookworm", Full: "12.12"},
		Packages: []inventory.Package{
			{
				Name: "libstdc++6", Version: "12.2.0-14+deb12u1", Architecture: "amd64", Source: "gcc-12", SourceVersion: "12.2.0-14+deb12u1",
				Homepage: "http://gcc.gnu.org/", Maintainer: `Debian "GCC" Maintainers <debian-gcc@lists.debian.org>`,
			},
			{Name: "libstdc-6", Version: "1~rc1", Architecture: "amd64", Source: "libstdc-6", SourceVersion: "1~rc1"},
			{Name: "zlib1g", Version: "1:1.2.13.dfsg-1", Architecture: "amd64", Source: "zlib", SourceVersion: "1:1.2.13.dfsg-1"},
		},
		Programs: []inventory.Program{
			{Path: "usr/bin/influxd", SHA256: strings.Repeat("01", 32), GoVersion: "1.19.8"},
			{
				Path: "usr/bin/probe", SHA256: strings.Repeat("23", 32), GoVersion: "1.26.8",
				Main:    inventory.Module{Path: "github.com/ft-services/ft-services", Version: inventory.Development},
				Modules: []inventory.Module{{Path: "github.com/BurntSushi/toml", Version: "v1.5.0"}},
			},
			{
				Path: "usr/bin/telegraf", SHA256: strings.Repeat("45", 32), GoVersion: "1.26.8",
				Main: inventory.Module{Path: "github.com/influxdata/telegraf", Version: "v1.37.2"},
				Modules: []inventory.Module{
					{Path: "github.com/BurntSushi/toml", Version: "v1.5.0"},
					{Path: "github.com/docker/docker", Version: "v28.5.1+incompatible"},
				},
			},
		},
		Archive: &inventory.Archive{Name: "vendor", Version: "1.0", URL: "https://example.com/vendor-1.0.tar.gz", SHA512: strings.Repeat("67", 64)},
	}
}

func write(t *testing.T, held inventory.Inventory) []byte {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, sbom.Write(&text, held, reference, created))
	return text.Bytes()
}

func read(t *testing.T, text []byte) *spdx.Document {
	t.Helper()
	document := &spdx.Document{}
	require.NoError(t, spdxjson.ReadInto(bytes.NewReader(text), document))
	return document
}

func TestGolden(t *testing.T) {
	golden := filepath.Join("testdata", "telegraf.spdx.json")
	text := write(t, example())
	if *update {
		require.NoError(t, os.WriteFile(golden, text, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err, "make it with -update")
	assert.Equal(t, string(want), string(text), "if this is meant, write it anew with -update")
}

func TestLibraryReadsWhatIsWritten(t *testing.T) {
	text := write(t, example())
	current, err := spdxjson.Read(bytes.NewReader(text))
	require.NoError(t, err)
	require.NoError(t, spdxlib.ValidateDocument(current))

	document := read(t, text)
	assert.Equal(t, "SPDX-2.3", document.SPDXVersion)
	assert.Equal(t, "2025-11-24T16:00:00Z", document.CreationInfo.Created)
	assert.True(t, strings.HasSuffix(document.DocumentNamespace, strings.Repeat("ab", 32)))
	described, err := spdxlib.GetDescribedPackageIDs(current)
	require.NoError(t, err)
	require.Len(t, described, 1)

	identifiers := map[string]bool{}
	for _, held := range document.Packages {
		identifier := string(held.PackageSPDXIdentifier)
		assert.Regexp(t, `^[A-Za-z0-9.-]+$`, identifier)
		assert.False(t, identifiers[identifier], "%s stands twice", identifier)
		identifiers[identifier] = true
		assert.False(t, held.FilesAnalyzed, identifier)
		assert.NotEmpty(t, held.PackageDownloadLocation, identifier)
	}
	contained := map[string]bool{}
	for _, relation := range document.Relationships {
		to := string(relation.RefB.ElementRefID)
		assert.True(t, identifiers[to], "%s does not exist", to)
		contained[to] = true
	}
	assert.Equal(t, identifiers, contained, "each package belongs to something")

	var again bytes.Buffer
	require.NoError(t, spdxjson.Write(document, &again, spdxjson.Indent("  "), spdxjson.EscapeHTML(false)))
	assert.Equal(t, string(text), again.String(), "nothing is lost on the way")
}

func TestPackageURLs(t *testing.T) {
	found := map[string]bool{}
	for _, held := range read(t, write(t, example())).Packages {
		for _, located := range held.PackageExternalReferences {
			assert.False(t, found[located.Locator], "%s stands twice", located.Locator)
			found[located.Locator] = true
		}
	}
	for _, want := range []string{
		"pkg:oci/telegraf@sha256%3A" + strings.Repeat("ab", 32) + "?repository_url=localhost/ft-services/telegraf&tag=1.37.2-1",
		"pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12",
		"pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1?arch=amd64&distro=debian-12",
		"pkg:deb/debian/libstdc-6@1~rc1?arch=amd64&distro=debian-12",
		"pkg:golang/stdlib@1.19.8",
		"pkg:golang/stdlib@1.26.8",
		"pkg:golang/github.com/influxdata/telegraf@v1.37.2",
		"pkg:golang/github.com/docker/docker@v28.5.1%2Bincompatible",
		"pkg:golang/github.com/burntsushi/toml@v1.5.0",
		"pkg:golang/github.com/ft-services/ft-services",
		"pkg:generic/vendor@1.0?checksum=sha512:" + strings.Repeat("67", 64) + "&download_url=https://example.com/vendor-1.0.tar.gz",
	} {
		assert.True(t, found[want], "want %s, have %v", want, found)
	}
}

func TestUnknownRelease(t *testing.T) {
	held := example()
	held.Release = inventory.Release{}
	assert.Contains(t, string(write(t, held)), `"pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1?arch=amd64"`)
}

func TestNoDigest(t *testing.T) {
	held := example()
	held.Digest = ""
	assert.ErrorContains(t, sbom.Write(&bytes.Buffer{}, held, reference, created), "set the inventory's digest")
}
