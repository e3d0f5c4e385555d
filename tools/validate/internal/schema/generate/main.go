// Command generate writes the schemas that the validator knows by itself, from pinned Go modules: those
// of Kubernetes' own kinds, a file for each minor version, and the CustomResourceDefinitions that this
// kind of repository uses. With -check it only compares.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/ft-services/ft-services/tools/validate/internal/pinned"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// releases are the minor versions of Kubernetes to choose from: those that are maintained, and the one
// that the local cluster runs. Of each the last patch release: it has the schemas of them all.
var releases = []pinned.Module{
	{Path: "k8s.io/kubernetes", Version: "v1.34.10", Sum: "h1:mB1KE7E2BonfpnGyim/+csCR5JMAoLsXt2xPXL5+DdY="},
	{Path: "k8s.io/kubernetes", Version: "v1.35.8", Sum: "h1:nqVTiKGbHuwTNjCn1dvK2tjOFie7J7SUMyZWDNsNHgA="},
	{Path: "k8s.io/kubernetes", Version: "v1.36.5", Sum: "h1:bLFTShnoNlRCkuYqoSIwgU7Ozf47DsOAiwOekTHpZJw="},
	{Path: "k8s.io/kubernetes", Version: "v1.37.2", Sum: "h1:A2VDEiObzkYqFTKhSsn0ZEb0RlLEXpHWj93gi2HqEwE="},
}

// source is a module that carries CustomResourceDefinitions.
type source struct {
	pinned.Module
	pattern string
}

var sources = []source{
	{pinned.Module{Path: "go.universe.tf/metallb", Version: "v0.15.2", Sum: "h1:r7KDgJtk3KZe3qb36zRVrVCYHxLR03nPGT+qFXOomJM="}, "config/crd/bases/*.yaml"},
	{pinned.Module{Path: "github.com/fluxcd/kustomize-controller", Version: "v1.9.6", Sum: "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE="}, "config/crd/bases/*.yaml"},
	{pinned.Module{Path: "github.com/fluxcd/source-controller", Version: "v1.9.6", Sum: "h1:nG534/bI6nVpyHra7ONAk6xDB3xPsVT+EOLHZHXPrrc="}, "config/crd/bases/*.yaml"},
	{pinned.Module{Path: "github.com/argoproj/argo-cd/v3", Version: "v3.5.7", Sum: "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0="}, "manifests/crds/app*-crd.yaml"},
}

func main() {
	dir := flag.String("dir", ".", "directory to write to")
	check := flag.Bool("check", false, "write nothing; fail if a file differs from what would be written")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	for _, release := range releases {
		minor := schema.MinorOf(release.Version)
		from, err := release.Download()
		if err != nil {
			return fmt.Errorf("downloading %s: %w", release.Path, err)
		}
		entries, err := builtin(from)
		if err != nil {
			return fmt.Errorf("reading the schemas of %s %s: %w", release.Path, release.Version, err)
		}
		if err := keep(filepath.Join(dir, schema.File(minor)), entries, check); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, schema.File("*")))
	if err != nil {
		return err
	}
	if len(files) != len(releases) {
		return fmt.Errorf("%v are there, and wanted are only those of %d minor versions: delete the others", files, len(releases))
	}
	entries := map[string]any{}
	for _, source := range sources {
		if err := source.collect(entries); err != nil {
			return fmt.Errorf("reading the definitions of %s: %w", source.Path, err)
		}
	}
	return keep(filepath.Join(dir, schema.DefinitionsFile), entries, check)
}

// keep writes or compares a file with one entry a line, a name and its JSON: so a line is found and
// read without the others.
func keep(file string, entries map[string]any, check bool) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		text.WriteString(name + " ")
		if err := encoder.Encode(entries[name]); err != nil {
			return fmt.Errorf("encoding %s: %w", name, err)
		}
	}
	if check {
		if err := pinned.Compare(file, text.Bytes()); err != nil {
			return err
		}
		fmt.Printf("%s: as generated\n", file)
		return nil
	}
	size, err := pinned.Write(file, text.Bytes())
	if err != nil {
		return fmt.Errorf("writing the schemas: %w", err)
	}
	fmt.Printf("%s: %d entries, %d bytes, %d compressed\n", file, len(entries), text.Len(), size)
	return nil
}
