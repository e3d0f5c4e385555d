package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ft-services/ft-services/tools/validate/internal/names"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// Kubernetes says which minor version of Kubernetes the cluster of an overlay runs.
type Kubernetes struct {
	minor    string
	overlays []runs
}

// runs is the minor version of the overlays whose path ends in what the glob fits.
type runs struct {
	glob, minor string
}

// Of returns the minor version for an overlay, such as 1.36.
func (k Kubernetes) Of(overlay string) string {
	for _, each := range k.overlays {
		if names.EndsIn(overlay, each.glob) {
			return each.minor
		}
	}
	return k.minor
}

// OnlyKubernetes is the same minor version for every overlay.
func OnlyKubernetes(version string) (Kubernetes, error) {
	minor, err := known(version)
	return Kubernetes{minor: minor}, err
}

// KubernetesOf reads the fact `kubernetes`. Without one, it is the newest version that is known.
func KubernetesOf(facts map[string]any) (Kubernetes, error) {
	newest := Kubernetes{minor: schema.Minors()[len(schema.Minors())-1]}
	all, _ := facts["facts"].(map[string]any)
	fact, given := all["kubernetes"]
	if !given {
		return newest, nil
	}
	text, err := json.Marshal(fact)
	if err != nil {
		return newest, fmt.Errorf("reading the fact kubernetes: %w", err)
	}
	var stated struct {
		Version  string
		Overlays []struct{ Overlay, Version string }
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&stated); err != nil {
		return newest, fmt.Errorf("reading the fact kubernetes: %w; versions are written in quotes, as in %q", err, newest.minor)
	}
	result := newest
	if stated.Version != "" {
		if result.minor, err = known(stated.Version); err != nil {
			return newest, fmt.Errorf("reading the fact kubernetes: %w", err)
		}
	}
	for i, each := range stated.Overlays {
		if _, err := path.Match(each.Overlay, ""); err != nil || each.Overlay == "" {
			return newest, fmt.Errorf("reading the fact kubernetes: overlays[%d]: overlay %q is no glob", i, each.Overlay)
		}
		minor, err := known(each.Version)
		if err != nil {
			return newest, fmt.Errorf("reading the fact kubernetes: overlays[%d]: %w", i, err)
		}
		result.overlays = append(result.overlays, runs{each.Overlay, minor})
	}
	return result, nil
}

// known returns the minor version that a version belongs to, if its schemas are here.
func known(version string) (string, error) {
	minor := schema.MinorOf(version)
	if !slices.Contains(schema.Minors(), minor) {
		return "", fmt.Errorf("%w %q; known: %s", schema.ErrUnknownMinor, version, strings.Join(schema.Minors(), ", "))
	}
	return minor, nil
}
