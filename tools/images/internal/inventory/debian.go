package inventory

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// readStatus reads dpkg's status file: stanzas in the form of a mail's header, parted by empty lines.
func readStatus(text io.Reader) ([]Package, error) {
	var packages []Package
	reader := textproto.NewReader(bufio.NewReader(text))
	for {
		stanza, err := reader.ReadMIMEHeader()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("stanza after package %q: %w", lastName(packages), err)
		}
		if len(stanza) > 0 && installed(stanza.Get("Status")) {
			found, failure := readPackage(stanza)
			if failure != nil {
				return nil, failure
			}
			packages = append(packages, found)
		}
		if err != nil {
			break
		}
	}
	slices.SortFunc(packages, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Architecture, b.Architecture))
	})
	return packages, nil
}

func lastName(packages []Package) string {
	if len(packages) == 0 {
		return ""
	}
	return packages[len(packages)-1].Name
}

// installed tells whether files of the package are there, be it fully configured or not. The status
// has three words: what is wanted, whether something went wrong, and the state.
func installed(status string) bool {
	words := strings.Fields(status)
	return len(words) == 3 && words[2] != "not-installed" && words[2] != "config-files"
}

func readPackage(stanza textproto.MIMEHeader) (Package, error) {
	found := Package{
		Name:         stanza.Get("Package"),
		Version:      stanza.Get("Version"),
		Architecture: stanza.Get("Architecture"),
		Homepage:     stanza.Get("Homepage"),
		Maintainer:   stanza.Get("Maintainer"),
	}
	for _, field := range []struct{ name, value string }{
		{"Package", found.Name}, {"Version", found.Version}, {"Architecture", found.Architecture},
	} {
		if field.value == "" {
			return Package{}, fmt.Errorf("package %q has no field %s", found.Name, field.name)
		}
	}
	// Source: name (version), either part only where it differs from the package's own.
	source, version, _ := strings.Cut(stanza.Get("Source"), " ")
	found.Source = cmp.Or(source, found.Name)
	found.SourceVersion = cmp.Or(strings.Trim(version, "()"), found.Version)
	if size := stanza.Get("Installed-Size"); size != "" {
		kibibytes, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return Package{}, fmt.Errorf("package %s: Installed-Size %q is no number: %w", found.Name, size, err)
		}
		found.InstalledSize = kibibytes * 1024
	}
	return found, nil
}

func readRelease(osRelease, debianVersion string) Release {
	release := Release{Full: strings.TrimSpace(debianVersion)}
	for line := range strings.Lines(osRelease) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch name {
		case "ID":
			release.ID = value
		case "VERSION_ID":
			release.VersionID = value
		case "VERSION_CODENAME":
			release.Codename = value
		}
	}
	if release.ID == "" && release.Full != "" {
		release.ID = "debian"
	}
	if release.VersionID == "" && release.ID == "debian" {
		release.VersionID, _, _ = strings.Cut(release.Full, ".")
	}
	return release
}
