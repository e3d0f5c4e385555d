package overlay

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// maxFileBytes bounds a file of the tree: a ConfigMap holds at most 1 MiB, so what is larger than
// this is no manifest.
const maxFileBytes = 4 << 20

// guardedFS is the disk as Kustomize may see it: files of a sane size, and no kustomization that
// would reach out to the network.
type guardedFS struct {
	filesys.FileSystem
	// replace holds contents that stand in for files, by absolute path.
	replace map[string][]byte
}

func newGuardedFS() *guardedFS {
	return &guardedFS{FileSystem: filesys.MakeFsOnDisk(), replace: map[string][]byte{}}
}

// ReadFile implements filesys.FileSystem.
func (g *guardedFS) ReadFile(path string) ([]byte, error) {
	if content, ok := g.replace[path]; ok {
		return content, nil
	}
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() && !info.Mode().IsRegular() {
			return nil, &inputError{path, 0, "is not a regular file"}
		}
		if info.Size() > maxFileBytes {
			return nil, &inputError{path, 0, fmt.Sprintf("has %d bytes; no manifest or configuration file may have more than %d", info.Size(), maxFileBytes)}
		}
	}
	content, err := g.FileSystem.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path)) {
		if err := refuseRemote(path, content); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// inputError is a defect of one file of the tree.
type inputError struct {
	path string
	line int // counted from 1; 0 when the defect is the file as a whole
	text string
}

func (e *inputError) Error() string {
	if e.line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.path, e.line, e.text)
	}
	return fmt.Sprintf("%s: %s", e.path, e.text)
}

// refuseRemote reports the first entry of a kustomization that Kustomize would fetch or clone.
func refuseRemote(path string, content []byte) error {
	var document yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&document); err != nil {
		return nil // Kustomize reports broken YAML itself.
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil
	}
	fields := document.Content[0].Content
	for i := 0; i+1 < len(fields); i += 2 {
		switch fields[i].Value {
		case "resources", "bases", "components", "generators", "transformers", "validators", "crds", "configurations":
		default:
			continue
		}
		for _, entry := range fields[i+1].Content {
			if entry.Kind == yaml.ScalarNode && isRemote(filepath.Dir(path), entry.Value) {
				return &inputError{path, entry.Line, fmt.Sprintf(
					"%s: %q is remote; rendering is offline: install it as a prerequisite at a pinned version, or keep it in the tree",
					fields[i].Value, entry.Value)}
			}
		}
	}
	return nil
}

// isRemote follows Kustomize: what exists as a path is local; else a URL, or a path whose first
// element looks like a host.
func isRemote(dir, entry string) bool {
	if strings.Contains(entry, "\n") || filepath.IsAbs(entry) {
		return false
	}
	if _, err := os.Lstat(filepath.Join(dir, entry)); err == nil {
		return false
	}
	if strings.Contains(entry, "://") || strings.Contains(entry, "::") || strings.HasPrefix(entry, "git@") {
		return true
	}
	first, rest, nested := strings.Cut(entry, "/")
	return nested && rest != "" && strings.Trim(first, ".") != "" && strings.Contains(first, ".")
}
