// Package layers looks for what must not be in an image. It walks every layer, not only the file
// system that a container sees: whoever has the image has what an upper layer hides, too.
package layers

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Finding is something in an image that must not be there. It never holds a secret's value.
type Finding struct {
	Rule    string `json:"rule"`
	Layer   string `json:"layer,omitempty"` // the layer's digest; empty if it is in the configuration
	Path    string `json:"path"`            // in the file system, or the field of the configuration
	Problem string `json:"problem"`
	Mend    string `json:"mend"`
}

// String is the finding on one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s %s: %s; mend: %s", f.Rule, cmp.Or(f.Layer, "configuration"), f.Path, f.Problem, f.Mend)
}

// Options say what an image may have.
type Options struct {
	// Exposed lists the ports ("80/tcp") and volumes ("/data") that the configuration may declare.
	Exposed []string
}

// Check returns what must not be in the image: in the order of its layers, then files of unknown
// owner, then the configuration.
func Check(img v1.Image, options Options) ([]Finding, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the image's configuration: %w", err)
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, fmt.Errorf("reading the image's layers: %w", err)
	}
	scan := scan{lower: map[string]int64{}}
	for i, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return nil, fmt.Errorf("reading the digest of layer %d: %w", i+1, err)
		}
		if err := scan.layer(layer, digest.String()); err != nil {
			return nil, fmt.Errorf("reading layer %s: %w; build the image anew, the archive may be cut off", digest, err)
		}
	}
	scan.owners()
	for _, rule := range configRules() {
		for _, found := range rule.find(config, options) {
			scan.findings = append(scan.findings, Finding{
				Rule: rule.name, Path: found.field, Problem: found.problem, Mend: rule.mend,
			})
		}
	}
	return scan.findings, nil
}

// entry is an entry of a layer.
type entry struct {
	*tar.Header
	path    string // without a leading slash
	content []byte // of a regular file; valid only while the entry is looked at
}

func (e *entry) isFile() bool { return e.Typeflag == tar.TypeReg || e.Typeflag == tar.TypeLink }

// holds tells whether the entry is a regular file that is not empty.
func (e *entry) holds() bool { return e.Typeflag == tar.TypeReg && e.Size > 0 }

type scan struct {
	findings []Finding
	lower    map[string]int64 // sizes of the regular files of the layers below
	// The accounts of the topmost etc/passwd and etc/group decide, and those come last: so owners
	// are looked at after all layers.
	owned         []owned
	users, groups map[int]bool
}

type owned struct {
	layer, path string
	uid, gid    int
}

func (s *scan) layer(layer v1.Layer, digest string) error {
	stream, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer stream.Close()

	rules, own := fileRules(), map[string]int64{}
	var buffer bytes.Buffer
	reader := tar.NewReader(stream)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		found := &entry{Header: header, path: strings.TrimPrefix(path.Clean("/"+header.Name), "/")}
		if header.Typeflag == tar.TypeReg {
			buffer.Reset()
			if _, err := buffer.ReadFrom(reader); err != nil {
				return fmt.Errorf("%s: %w", found.path, err)
			}
			found.content = buffer.Bytes()
			own[found.path] = header.Size
		}
		for _, rule := range rules {
			if problem := rule.find(found); problem != "" && !excepted(rule.name, found.path) {
				s.add(rule.name, digest, found.path, problem, rule.mend)
			}
		}
		s.whiteout(found, digest)
		s.remember(found, digest)
	}
	for name, size := range own {
		s.lower[name] = size
	}
	return nil
}

func (s *scan) add(rule, layer, path, problem, mend string) {
	s.findings = append(s.findings, Finding{Rule: rule, Layer: layer, Path: path, Problem: problem, Mend: mend})
}

const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
)

// whiteout finds marks that take a file away from what a container sees, but not from the image.
func (s *scan) whiteout(e *entry, layer string) {
	folder, base := path.Split(e.path)
	hidden, isWhiteout := strings.CutPrefix(base, whiteoutPrefix)
	if !isWhiteout {
		return
	}
	target := folder + hidden
	if base == whiteoutOpaque {
		target = strings.TrimSuffix(folder, "/")
	}
	var files int
	for name, size := range s.lower {
		if size > 0 && (name == target || strings.HasPrefix(name, target+"/") || target == "") {
			files++
		}
	}
	if files > 0 {
		s.add("hidden-data", layer, e.path, fmt.Sprintf("hides %d files of a lower layer, which are still in the image", files),
			"Keep the files out of the lower layer: there, exclude the path or purge the package.")
	}
}

// remember keeps what the owners are judged by.
func (s *scan) remember(e *entry, layer string) {
	switch {
	case e.path == "etc/passwd" && e.Typeflag == tar.TypeReg:
		s.users = accounts(e.content)
	case e.path == "etc/group" && e.Typeflag == tar.TypeReg:
		s.groups = accounts(e.content)
	}
	if e.Uid != 0 || e.Gid != 0 {
		s.owned = append(s.owned, owned{layer, e.path, e.Uid, e.Gid})
	}
}

func (s *scan) owners() {
	for _, file := range s.owned {
		var unknown []string
		if file.uid != 0 && !s.users[file.uid] {
			unknown = append(unknown, fmt.Sprintf("uid %d is not in etc/passwd", file.uid))
		}
		if file.gid != 0 && !s.groups[file.gid] {
			unknown = append(unknown, fmt.Sprintf("gid %d is not in etc/group", file.gid))
		}
		if len(unknown) > 0 {
			s.add("unknown-owner", file.layer, file.path, strings.Join(unknown, ", "),
				"Let root own the file, or make the account in the layer that adds it.")
		}
	}
}
