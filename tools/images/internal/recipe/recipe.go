// Package recipe reads what an image is made of: the file image.yaml beside its Dockerfile.
package recipe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Names within an image's folder.
const (
	File       = "image.yaml"
	Dockerfile = "Dockerfile"
	RootfsDir  = "rootfs" // copied into the image as it is
)

// Base is the name of the image that all others stand on.
const Base = "base"

// Recipe says what one image is made of.
type Recipe struct {
	Name string `json:"-"`
	Dir  string `json:"-"`

	// VersionFrom names the Debian package whose upstream version the image's tag bears; Version is
	// that version in words where no package has it. Base has neither.
	VersionFrom string `json:"versionFrom,omitempty"`
	Version     string `json:"version,omitempty"`
	// Packages are Debian packages, installed without their recommendations.
	Packages []string `json:"packages,omitempty"`
	// Exclude are dpkg path-exclude globs: what of the packages is not unpacked.
	Exclude []string `json:"exclude,omitempty"`
	// Purge are packages that only installing needed.
	Purge []string `json:"purge,omitempty"`
	// Go are static programs that are built on the host.
	Go []Program `json:"go,omitempty"`
	// Archive is a vendor's release, for what Debian does not have.
	Archive *Archive `json:"archive,omitempty"`
}

// Program is a Go program. Package is a folder of this repository (./images/…) or PACKAGE@VERSION.
type Program struct {
	Package string   `json:"package"`
	Output  string   `json:"output"`
	Tags    []string `json:"tags,omitempty"`
	LDFlags string   `json:"ldflags,omitempty"`
	// Sum is the main module's checksum as go.sum writes it (h1:…); wanted for PACKAGE@VERSION.
	Sum string `json:"sum,omitempty"`
}

// Local reports whether the program's source lies in this repository.
func (p Program) Local() bool { return strings.HasPrefix(p.Package, "./") }

// Archive is a file that a vendor publishes. Size is in bytes, SHA512 in hexadecimal. Exclude are
// patterns (path.Match) below the archive's first directory; a folder takes with it all that is in it.
type Archive struct {
	File    string   `json:"file"`
	URL     string   `json:"url"`
	Size    int64    `json:"size"`
	SHA512  string   `json:"sha512"`
	Exclude []string `json:"exclude,omitempty"`
}

// Load reads the recipe in dir, whose last element is the image's name.
func Load(dir string) (*Recipe, error) {
	path := filepath.Join(dir, File)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read what the image is made of: %w", err)
	}
	r := &Recipe{Name: filepath.Base(dir), Dir: dir}
	if err := yaml.UnmarshalStrict(text, r); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if _, err := os.Stat(filepath.Join(dir, Dockerfile)); err != nil {
		return nil, fmt.Errorf("image %s has no Dockerfile: %w", r.Name, err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// LoadAll reads every recipe below dir, sorted by name. A folder without image.yaml is none.
func LoadAll(dir string) ([]*Recipe, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", File))
	if err != nil {
		return nil, fmt.Errorf("look for images in %s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no image in %s: an image is a folder with %s and %s (is this the repository's root?)", dir, File, Dockerfile)
	}
	slices.Sort(files)
	var all []*Recipe
	var errs []error
	for _, file := range files {
		r, err := Load(filepath.Dir(file))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, r)
	}
	return all, errors.Join(errs...)
}

var (
	packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	fileName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	sha512Hex   = regexp.MustCompile(`^[0-9a-f]{128}$`)
)

func (r *Recipe) check() error {
	if (r.VersionFrom == "") == (r.Version == "") && r.Name != Base {
		return errors.New("exactly one of `versionFrom` (a package) and `version` says which version the image's tag bears")
	}
	for _, name := range slices.Concat(r.Packages, r.Purge) {
		if !packageName.MatchString(name) {
			return fmt.Errorf("%q is not the name of a Debian package", name)
		}
	}
	for _, glob := range r.Exclude {
		if !strings.HasPrefix(glob, "/") {
			return fmt.Errorf("exclude %q: dpkg matches absolute paths, begin with /", glob)
		}
	}
	for _, p := range r.Go {
		_, version, pinned := strings.Cut(p.Package, "@")
		switch {
		case !fileName.MatchString(p.Output):
			return fmt.Errorf("go program %s: `output` %q is not a file name", p.Package, p.Output)
		case p.Local():
		case !pinned || !strings.HasPrefix(version, "v"):
			return fmt.Errorf("go program %s: write PACKAGE@vVERSION, or ./FOLDER of this repository", p.Package)
		case !strings.HasPrefix(p.Sum, "h1:"):
			return fmt.Errorf("go program %s: `sum` (h1:…) of its module is missing", p.Package)
		}
	}
	if a := r.Archive; a != nil {
		switch {
		case !fileName.MatchString(a.File):
			return fmt.Errorf("archive: `file` %q is not a file name", a.File)
		case !strings.HasPrefix(a.URL, "https://"):
			return fmt.Errorf("archive %s: `url` must be https", a.File)
		case a.Size <= 0 || !sha512Hex.MatchString(a.SHA512):
			return fmt.Errorf("archive %s: `size` in bytes and `sha512` in 128 hexadecimal digits are wanted", a.File)
		}
	}
	return nil
}
