package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/ft-services/ft-services/tools/images/internal/inventory"
	"github.com/ft-services/ft-services/tools/images/internal/lock"
	"github.com/ft-services/ft-services/tools/images/internal/ociarchive"
	"github.com/ft-services/ft-services/tools/images/internal/recipe"
	"github.com/ft-services/ft-services/tools/images/internal/reference"
	"github.com/ft-services/ft-services/tools/images/internal/sbom"
)

// What lies beside each other in the folder of images, after the image's name.
const (
	archiveSuffix = ".oci.tar"
	recordSuffix  = ".json"
	sbomSuffix    = ".spdx.json"
	rootfsSuffix  = ".rootfs.tar" // of the base image alone
)

// ArchiveFile is where the image's archive lies.
func ArchiveFile(out, name string) string { return filepath.Join(out, name+archiveSuffix) }

// Record is what a build leaves beside the archive: what it was made from, and what came of it.
type Record struct {
	Name      string `json:"name"`
	Reference string `json:"reference"`
	Key       string `json:"key"` // of everything that it was made from

	ArchiveSHA256  string `json:"archiveSHA256"`
	ManifestDigest string `json:"manifestDigest"`
	RootfsSHA256   string `json:"rootfsSHA256,omitempty"` // of the base image, by which others' layers are found

	Inventory inventory.Inventory `json:"inventory"`
	Seconds   float64             `json:"seconds"` // how long the build took
	Packages  map[string]string   `json:"packages"`
	Programs  map[string]string   `json:"programs,omitempty"`
	// Own are the sizes in bytes of what the image adds to the base image.
	OwnStored   int64 `json:"ownStored"`
	OwnUnpacked int64 `json:"ownUnpacked"`
}

// newRecord reads the archive back and writes its SBOM: both tell what is there, not what was meant.
func newRecord(archive string, t Target, key string, epoch int64, base *Record, took time.Duration) (*Record, error) {
	img, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s back: %w", archive, err)
	}
	held, err := inventory.Read(img)
	if err != nil {
		return nil, fmt.Errorf("read %s back: %w", archive, err)
	}
	if a := t.Recipe.Archive; a != nil {
		held.Archive = &inventory.Archive{Name: t.Recipe.Name, Version: t.Recipe.Version, URL: a.URL, SHA512: a.SHA512}
	}
	r := &Record{
		Name: t.Recipe.Name, Reference: t.Reference, Key: key, Inventory: held, Seconds: took.Seconds(),
		Packages: map[string]string{}, Programs: map[string]string{},
	}
	if r.ArchiveSHA256, err = hashOf(archive); err != nil {
		return nil, err
	}
	if r.ManifestDigest, err = ociarchive.ManifestDigest(archive); err != nil {
		return nil, err
	}
	// Read as Docker's archive the image has another manifest than the one that is pushed and loaded.
	held.Digest = r.ManifestDigest
	r.Inventory = held
	shared := map[string]bool{}
	if base != nil {
		for _, layer := range base.Inventory.Layers {
			shared[layer.Digest] = true
		}
	}
	for _, layer := range held.Layers {
		if !shared[layer.Digest] {
			r.OwnStored += layer.StoredSize
			r.OwnUnpacked += layer.Size
		}
	}
	for _, p := range held.Packages {
		if base == nil || base.Packages[p.Name] != p.Version {
			r.Packages[p.Name] = p.Version
		}
	}
	// What Debian built is a package; our own programs have a module.
	for _, p := range held.Programs {
		if p.Main.Path != "" {
			r.Programs[p.Main.Path] = p.Main.Version
		}
	}
	return r, writeSBOM(strings.TrimSuffix(archive, archiveSuffix)+sbomSuffix, held, t.Reference, epoch)
}

func writeSBOM(file string, held inventory.Inventory, ref string, epoch int64) error {
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write the SBOM: %w", err)
	}
	if err := sbom.Write(out, held, ref, time.Unix(epoch, 0).UTC()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return out.Close()
}

func hashOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read the image: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// LoadRecord reads what is known of the image that lies in out.
func LoadRecord(out, name string) (*Record, error) {
	file := filepath.Join(out, name+recordSuffix)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the record of image %s: %w", name, err)
	}
	r := &Record{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return r, nil
}

// Intact reports whether the archive is still the one that the record tells of, with all that belongs
// beside it.
func (r *Record) Intact(out string) bool {
	if _, err := os.Stat(filepath.Join(out, r.Name+sbomSuffix)); err != nil {
		return false
	}
	want := map[string]string{archiveSuffix: r.ArchiveSHA256}
	if r.Name == recipe.Base {
		want[rootfsSuffix] = r.RootfsSHA256
	}
	for suffix, sum := range want {
		if got, err := hashOf(filepath.Join(out, r.Name+suffix)); err != nil || got != sum {
			return false
		}
	}
	return true
}

// Locked is what the lock file keeps of the image.
func (r *Record) Locked() lock.Image {
	return lock.Image{Tag: tagOf(r.Reference), Packages: r.Packages, Programs: r.Programs}
}

func tagOf(ref string) string {
	if _, parsed, err := reference.Parse(ref); err == nil {
		return parsed.Tag()
	}
	return ""
}
