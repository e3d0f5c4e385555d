package manifest

import (
	"cmp"
	"fmt"
	"strings"

	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubectl/pkg/scheme"

	"github.com/ft-services/ft-services/tools/validate/internal/names"
	"github.com/ft-services/ft-services/tools/validate/internal/schema"
)

// unknown says why there is no schema for an object, and what to do about it.
func (d *Decoder) unknown(object *Object, group, version string) (Defect, error) {
	release := d.schemas.Release.Minor
	what := object.APIVersion + " " + object.Kind
	versions, err := d.schemas.Versions(group, object.Kind)
	if err != nil {
		return Defect{}, err
	}
	use := ""
	if len(versions) > 0 {
		use = fmt.Sprintf("; use %s", apischema.GroupVersion{Group: group, Version: versions[0]})
	}
	if text, replacement := removed(object, release); text != "" {
		return Defect{[]any{"apiVersion"}, text + cmp.Or(replacement, use)}, nil
	}
	serving, err := d.schemas.Serving(group, version, object.Kind)
	if err != nil {
		return Defect{}, err
	}
	if len(serving) > 0 {
		return Defect{[]any{"apiVersion"}, fmt.Sprintf("Kubernetes %s does not serve %s; known to Kubernetes %s%s", release, what, strings.Join(serving, ", "), use)}, nil
	}
	if len(versions) > 0 {
		return Defect{[]any{"apiVersion"}, fmt.Sprintf("no schema is known for %s: %s is no version of %s%s", what, version, object.Kind, use)}, nil
	}
	kinds, err := d.schemas.Kinds()
	if err != nil {
		return Defect{}, err
	}
	text := "no schema is known for " + what + " in Kubernetes " + release
	if near := alike(group, object.Kind, kinds); near != "" {
		text += "; did you mean " + near + "?"
	}
	return Defect{[]any{"kind"}, text + "; of a custom kind, the CustomResourceDefinition must be in a checked overlay, or be named with --crds"}, nil
}

// alike names the kind that was likely meant by one that does not exist.
func alike(group, kind string, known []string) string {
	var bare []string
	for _, each := range known {
		of, name, _ := strings.Cut(each, "/")
		switch {
		case name == kind:
			return strings.TrimPrefix(each, "/")
		case of == group:
			bare = append(bare, name)
		}
	}
	if near := names.Near(kind, bare); len(near) > 0 {
		return near[0]
	}
	return ""
}

// removed says when Kubernetes has ceased to serve the object's type, which its clients still know, and
// what follows it, if something does.
func removed(object *Object, release string) (text, replacement string) {
	typed, err := scheme.Scheme.New(apischema.FromAPIVersionAndKind(object.APIVersion, object.Kind))
	if err != nil {
		return "", ""
	}
	lifecycle, ends := typed.(interface{ APILifecycleRemoved() (major, minor int) })
	if !ends {
		return "", ""
	}
	major, minor := lifecycle.APILifecycleRemoved()
	end := fmt.Sprintf("%d.%d", major, minor)
	if schema.Older(release, end) {
		return "", ""
	}
	if follows, known := typed.(interface {
		APILifecycleReplacement() apischema.GroupVersionKind
	}); known {
		version, kind := follows.APILifecycleReplacement().ToAPIVersionAndKind()
		replacement = fmt.Sprintf("; use %s %s", version, kind)
	}
	return fmt.Sprintf("Kubernetes %s has removed %s %s", end, object.APIVersion, object.Kind), replacement
}
