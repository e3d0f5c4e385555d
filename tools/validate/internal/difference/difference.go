// Package difference tells, object by object, how two renderings of overlays differ.
package difference

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"sigs.k8s.io/kustomize/api/hasher"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/yaml"
)

// What happened to an object.
const (
	Added   = "added"
	Changed = "changed"
	Removed = "removed"
)

// A Change is what happened to one object, in every overlay in which the same happened to it.
type Change struct {
	What     string
	Object   string // Kind/namespace/name, or Kind/name without a namespace
	Diff     string // unified, of the YAML; values of Secrets are hidden
	Overlays []string
}

// Failure is why a rendering could not be compared.
type Failure struct{ Overlay, Text string }

// Report is all that differs.
type Report struct {
	// Since names the commit that is compared with.
	Since    string
	Changes  []Change
	Failures []Failure

	order map[string]int // of the overlays
}

// Add adds what differs in an overlay. Overlays are added in the order in which they are written.
func (r *Report) Add(overlay string, changes []Change) {
	if r.order == nil {
		r.order = map[string]int{}
	}
	r.order[overlay] = len(r.order)
	for _, change := range changes {
		same := slices.IndexFunc(r.Changes, func(other Change) bool {
			return other.What == change.What && other.Object == change.Object && other.Diff == change.Diff
		})
		if same < 0 {
			same = len(r.Changes)
			r.Changes = append(r.Changes, change)
		}
		r.Changes[same].Overlays = append(r.Changes[same].Overlays, overlay)
	}
}

// groups are the changes by the overlays that they are in, in the overlays' order.
func (r *Report) groups() [][]Change {
	groups := map[string][]Change{}
	for _, change := range r.Changes {
		key := strings.Join(change.Overlays, "\n")
		groups[key] = append(groups[key], change)
	}
	sorted := slices.Collect(maps.Values(groups))
	slices.SortFunc(sorted, func(a, b []Change) int {
		return slices.CompareFunc(a[0].Overlays, b[0].Overlays, func(x, y string) int { return cmp.Compare(r.order[x], r.order[y]) })
	})
	return sorted
}

// Summary counts on one line.
func (r *Report) Summary() string {
	counts, overlays := map[string]int{}, map[string]bool{}
	for _, change := range r.Changes {
		counts[change.What]++
		for _, overlay := range change.Overlays {
			overlays[overlay] = true
		}
	}
	text := fmt.Sprintf("%d added, %d changed, %d removed in %s", counts[Added], counts[Changed], counts[Removed], plural(len(overlays), "overlay"))
	if len(r.Failures) > 0 {
		failed := map[string]bool{}
		for _, failure := range r.Failures {
			failed[failure.Overlay] = true
		}
		text += fmt.Sprintf("; %s not compared", plural(len(failed), "overlay"))
	}
	return text + ", since " + r.Since
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// Compare tells how the objects of an overlay differ, ordered by kind, namespace and name.
func Compare(before, after []*resource.Resource) ([]Change, error) {
	old, now := index(before), index(after)
	all := maps.Clone(old)
	maps.Copy(all, now)
	var changes []Change
	for _, id := range slices.SortedFunc(maps.Keys(all), identity.compare) {
		change, err := compare(id, old[id], now[id])
		if err != nil {
			return nil, fmt.Errorf("comparing %s: %w", id, err)
		}
		if change != nil {
			changes = append(changes, *change)
		}
	}
	return changes, nil
}

func compare(id identity, before, after *resource.Resource) (*Change, error) {
	old, err := values(before)
	if err != nil {
		return nil, err
	}
	now, err := values(after)
	if err != nil {
		return nil, err
	}
	if reflect.DeepEqual(old, now) {
		return nil, nil
	}
	if id.kind == "Secret" && id.group == "" {
		hide(old, now)
	}
	change := &Change{What: Changed, Object: id.String()}
	names := [2]string{change.Object, change.Object}
	switch {
	case before == nil:
		change.What, names[0] = Added, "/dev/null"
	case after == nil:
		change.What, names[1] = Removed, "/dev/null"
	}
	texts := [2][]byte{}
	for i, object := range []map[string]any{old, now} {
		if object == nil {
			continue
		}
		if texts[i], err = yaml.Marshal(object); err != nil {
			return nil, err
		}
	}
	text := diff.Diff(names[0], texts[0], names[1], texts[1])
	_, text, _ = bytes.Cut(text, []byte("\n")) // The first line is the command that would print it.
	change.Diff = string(text)
	return change, nil
}

func values(object *resource.Resource) (map[string]any, error) {
	if object == nil {
		return nil, nil
	}
	return object.Map()
}

// identity is what makes two objects one, whatever their version.
type identity struct{ group, kind, namespace, name string }

// String is how reports name the object.
func (i identity) String() string {
	if i.namespace == "" {
		return i.kind + "/" + i.name
	}
	return i.kind + "/" + i.namespace + "/" + i.name
}

func (i identity) compare(j identity) int {
	return cmp.Or(cmp.Compare(i.kind, j.kind), cmp.Compare(i.namespace, j.namespace), cmp.Compare(i.name, j.name), cmp.Compare(i.group, j.group))
}

// index finds objects by their identity, those with a hash behind their name by the name alone: what
// has taken the place of another is that one, changed.
func index(objects []*resource.Resource) map[identity]*resource.Resource {
	found := map[identity]*resource.Resource{}
	var generated []*resource.Resource
	for _, object := range objects {
		if withoutHash(object) != object.GetName() {
			generated = append(generated, object)
		} else {
			found[identify(object, object.GetName())] = object
		}
	}
	for _, object := range generated {
		id := identify(object, withoutHash(object))
		if _, taken := found[id]; taken {
			id = identify(object, object.GetName())
		}
		found[id] = object
	}
	return found
}

func identify(object *resource.Resource, name string) identity {
	gvk := object.GetGvk()
	return identity{gvk.Group, gvk.Kind, object.GetNamespace(), name}
}

var hashed = regexp.MustCompile(`^(.+)-[2456789bcdfghkmt]{10}$`)

// withoutHash is the name to which Kustomize has added the hash of the content, or the name as it is.
// A finished build no longer says which it is; the content does.
func withoutHash(object *resource.Resource) string {
	name := object.GetName()
	match := hashed.FindStringSubmatch(name)
	if match == nil || object.GetKind() != "ConfigMap" && object.GetKind() != "Secret" {
		return name
	}
	plain := object.DeepCopy()
	plain.SetName(match[1])
	if hash, err := plain.Hash(&hasher.Hasher{}); err != nil || match[1]+"-"+hash != name {
		return name
	}
	return match[1]
}

const (
	hidden        = "(hidden)"
	hiddenChanged = "(hidden, changed)"
	// lastApplied is where kubectl keeps a copy of the whole object.
	lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
)

// hide takes the values out of a Secret, and leaves to see which of them differ.
func hide(before, after map[string]any) {
	for _, field := range []string{"data", "stringData"} {
		old, isOld := before[field].(map[string]any)
		now, isNow := after[field].(map[string]any)
		if (before[field] == nil || isOld) && (after[field] == nil || isNow) {
			hideValues(old, now)
		} else {
			hideValue(before, after, field)
		}
	}
	hideValue(annotations(before), annotations(after), lastApplied)
}

func annotations(object map[string]any) map[string]any {
	metadata, _ := object["metadata"].(map[string]any)
	found, _ := metadata["annotations"].(map[string]any)
	return found
}

func hideValues(before, after map[string]any) {
	keys := map[string]bool{}
	for _, side := range []map[string]any{before, after} {
		for key := range side {
			keys[key] = true
		}
	}
	for key := range keys {
		hideValue(before, after, key)
	}
}

func hideValue(before, after map[string]any, key string) {
	old, isOld := before[key]
	now, isNow := after[key]
	if isOld {
		before[key] = hidden
	}
	if isNow {
		after[key] = hidden
		if isOld && !reflect.DeepEqual(old, now) {
			after[key] = hiddenChanged
		}
	}
}
