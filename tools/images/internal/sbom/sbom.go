// Package sbom writes what an image holds as a software bill of materials in SPDX 2.3, which
// vulnerability scanners read. Equal inventories give equal documents, byte for byte.
package sbom

import (
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/ft-services/ft-services/tools/images/internal/inventory"
)

const (
	unknown = "NOASSERTION"
	creator = "ft-services-images"
	// namespace only has to be unique and ours; nothing answers there.
	namespace = "https://github.com/ft-services/ft-services/spdx/"
)

// Write writes the document of the image with the given reference (localhost/ft-services/nginx:1.22.1-1).
// created stands in it as the time of its making; give the time of the sources, not the clock's.
func Write(w io.Writer, held inventory.Inventory, reference string, created time.Time) error {
	document, err := newDocument(held, reference, created)
	if err != nil {
		return err
	}
	if err := spdxjson.Write(document, w, spdxjson.Indent("  "), spdxjson.EscapeHTML(false)); err != nil {
		return fmt.Errorf("writing the SPDX document of %s: %w", reference, err)
	}
	return nil
}

func newDocument(held inventory.Inventory, reference string, created time.Time) (*spdx.Document, error) {
	algorithm, hexDigest, found := strings.Cut(held.Digest, ":")
	if !found || algorithm != "sha256" {
		return nil, fmt.Errorf("writing the SPDX document of %s: digest %q is not of the form sha256:…; set the inventory's digest", reference, held.Digest)
	}
	repository, tag := split(reference)
	name := path.Base(repository)

	d := builder{identifiers: map[string]bool{}, modules: map[inventory.Module]common.ElementID{}}
	image := d.add(&spdx.Package{
		PackageName:           repository,
		PackageVersion:        tag,
		PrimaryPackagePurpose: "CONTAINER",
		PackageChecksums:      []common.Checksum{{Algorithm: common.SHA256, Value: hexDigest}},
	}, "image", name)
	d.locate(image, purl("oci", name, held.Digest, "repository_url", repository, "tag", tag))
	d.relate("DOCUMENT", common.TypeRelationshipDescribe, image.PackageSPDXIdentifier)
	for _, debian := range held.Packages {
		d.debian(image, debian, held.Release)
	}
	for _, program := range held.Programs {
		d.program(image, program)
	}
	if held.Archive != nil {
		d.archive(image, *held.Archive)
	}
	return &spdx.Document{
		SPDXVersion:       spdx.Version,
		DataLicense:       spdx.DataLicense,
		SPDXIdentifier:    "DOCUMENT",
		DocumentName:      reference,
		DocumentNamespace: namespace + url.PathEscape(name) + "-" + hexDigest,
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: creator}},
			Created:  created.UTC().Format(time.RFC3339),
		},
		Packages:      d.packages,
		Relationships: d.relationships,
	}, nil
}

// builder collects the packages and relationships of a document.
type builder struct {
	packages      []*spdx.Package
	relationships []*spdx.Relationship
	identifiers   map[string]bool
	modules       map[inventory.Module]common.ElementID
}

// add fills in what is the same in all packages, and makes the identifier of words that tell it apart.
func (d *builder) add(p *spdx.Package, words ...string) *spdx.Package {
	p.PackageSPDXIdentifier = d.identifier(words)
	if p.PackageDownloadLocation == "" {
		p.PackageDownloadLocation = unknown
	}
	if p.PackageSupplier == nil {
		p.PackageSupplier = &common.Supplier{Supplier: unknown}
	}
	p.PackageLicenseConcluded = unknown
	p.PackageLicenseDeclared = unknown
	p.PackageCopyrightText = unknown
	d.packages = append(d.packages, p)
	return p
}

var notInIdentifier = regexp.MustCompile(`[^A-Za-z0-9.]+`)

// identifier keeps to SPDX's letters; names that only differ in others get a number.
func (d *builder) identifier(words []string) common.ElementID {
	base := strings.Trim(notInIdentifier.ReplaceAllString(strings.Join(words, "-"), "-"), "-")
	made := base
	for i := 2; d.identifiers[made]; i++ {
		made = fmt.Sprintf("%s-%d", base, i)
	}
	d.identifiers[made] = true
	return common.ElementID(made)
}

func (d *builder) relate(from common.ElementID, relation string, to common.ElementID) {
	d.relationships = append(d.relationships, &spdx.Relationship{
		RefA: common.DocElementID{ElementRefID: from}, Relationship: relation, RefB: common.DocElementID{ElementRefID: to},
	})
}

func (d *builder) locate(p *spdx.Package, purl string) {
	p.PackageExternalReferences = append(p.PackageExternalReferences, &spdx.PackageExternalReference{
		Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl,
	})
}

func (d *builder) debian(image *spdx.Package, held inventory.Package, release inventory.Release) {
	p := d.add(&spdx.Package{
		PackageName:     held.Name,
		PackageVersion:  held.Version,
		PackageHomePage: held.Homepage,
		PackageSupplier: &common.Supplier{SupplierType: "Organization", Supplier: "Debian"},
		// Debian's security tracker speaks of source packages, and scanners take them from here.
		PackageSourceInfo: fmt.Sprintf("built package from: %s %s", held.Source, held.SourceVersion),
	}, "deb", held.Name, held.Architecture)
	if held.Maintainer != "" {
		p.PackageComment = "Maintainer: " + held.Maintainer
	}
	var distribution string
	if release.ID != "" && release.VersionID != "" {
		distribution = release.ID + "-" + release.VersionID
	}
	d.locate(p, purl("deb", "debian/"+held.Name, held.Version, "arch", held.Architecture, "distro", distribution))
	d.relate(image.PackageSPDXIdentifier, common.TypeRelationshipContains, p.PackageSPDXIdentifier)
}

// program adds the file, and below it the modules that were linked into it.
func (d *builder) program(image *spdx.Package, held inventory.Program) {
	p := d.add(&spdx.Package{
		PackageName:           path.Base(held.Path),
		PackageFileName:       "/" + held.Path,
		PackageVersion:        version(held.Main),
		PrimaryPackagePurpose: "APPLICATION",
		PackageChecksums:      []common.Checksum{{Algorithm: common.SHA256, Value: held.SHA256}},
		PackageSourceInfo:     "built with: Go " + held.GoVersion,
	}, "program", held.Path)
	d.relate(image.PackageSPDXIdentifier, common.TypeRelationshipContains, p.PackageSPDXIdentifier)
	// The standard library is linked in too; scanners know it by this name.
	modules := []inventory.Module{{Path: "stdlib", Version: held.GoVersion}}
	if held.Main.Path != "" {
		modules = append(modules, held.Main)
	}
	for _, module := range append(modules, held.Modules...) {
		d.relate(p.PackageSPDXIdentifier, common.TypeRelationshipContains, d.module(module))
	}
}

// module adds a module once, however many programs hold it.
func (d *builder) module(held inventory.Module) common.ElementID {
	if identifier, known := d.modules[held]; known {
		return identifier
	}
	p := d.add(&spdx.Package{
		PackageName: held.Path, PackageVersion: version(held), PrimaryPackagePurpose: "LIBRARY",
	}, "go", held.Path, version(held))
	// The specification of package URLs writes Go's paths in lower case.
	d.locate(p, purl("golang", strings.ToLower(held.Path), version(held)))
	d.modules[held] = p.PackageSPDXIdentifier
	return p.PackageSPDXIdentifier
}

func (d *builder) archive(image *spdx.Package, held inventory.Archive) {
	p := d.add(&spdx.Package{
		PackageName:             held.Name,
		PackageVersion:          held.Version,
		PackageFileName:         path.Base(held.URL),
		PackageDownloadLocation: held.URL,
		PrimaryPackagePurpose:   "ARCHIVE",
		PackageChecksums:        []common.Checksum{{Algorithm: common.SHA512, Value: held.SHA512}},
	}, "archive", held.Name)
	d.locate(p, purl("generic", held.Name, held.Version, "checksum", "sha512:"+held.SHA512, "download_url", held.URL))
	d.relate(image.PackageSPDXIdentifier, common.TypeRelationshipContains, p.PackageSPDXIdentifier)
}

// version is empty for code that was built from a working copy.
func version(module inventory.Module) string {
	if module.Version == inventory.Development {
		return ""
	}
	return module.Version
}

// split parts a reference into repository and tag; a colon before the last slash is a port.
func split(reference string) (repository, tag string) {
	if at := strings.LastIndexByte(reference, ':'); at > strings.LastIndexByte(reference, '/') {
		return reference[:at], reference[at+1:]
	}
	return reference, ""
}

// purl makes a package URL. Qualifiers are names, sorted, each with its value; empty ones are left out.
func purl(kind, name, version string, qualifiers ...string) string {
	var text strings.Builder
	text.WriteString("pkg:" + kind)
	for part := range strings.SplitSeq(name, "/") {
		text.WriteString("/" + escape(part, ":"))
	}
	if version != "" {
		keep := ":"
		if kind == "oci" {
			keep = "" // this type's own rule
		}
		text.WriteString("@" + escape(version, keep))
	}
	separator := "?"
	for i := 0; i+1 < len(qualifiers); i += 2 {
		if qualifiers[i+1] == "" {
			continue
		}
		text.WriteString(separator + qualifiers[i] + "=" + escape(qualifiers[i+1], ":/"))
		separator = "&"
	}
	return text.String()
}

// escape writes all but letters, digits and -._~ as %XX.
func escape(text, keep string) string {
	var escaped strings.Builder
	for _, b := range []byte(text) {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', strings.IndexByte("-._~"+keep, b) >= 0:
			escaped.WriteByte(b)
		default:
			fmt.Fprintf(&escaped, "%%%02X", b)
		}
	}
	return escaped.String()
}
