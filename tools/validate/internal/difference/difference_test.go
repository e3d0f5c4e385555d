package difference_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resource"

	"github.com/ft-services/ft-services/tools/validate/internal/difference"
)

func objects(t *testing.T, text string) []*resource.Resource {
	t.Helper()
	if text == "" {
		return nil
	}
	found, err := provider.NewDefaultDepProvider().GetResourceFactory().SliceFromBytes([]byte(text))
	require.NoError(t, err)
	return found
}

func TestCompare(t *testing.T) {
	const (
		config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {a: %s}\n"
		secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: x%s}\n%s\n"
	)
	for name, test := range map[string]struct {
		before, after string
		want          []string // what, object and the lines of the diff that begin with - or +
	}{
		"nothing":                    {fmt.Sprintf(config, "x", "b"), fmt.Sprintf(config, "x", "b"), nil},
		"another version":            {"apiVersion: example.org/v1\nkind: X\nmetadata: {name: x}\n", "apiVersion: example.org/v2\nkind: X\nmetadata: {name: x}\n", []string{"changed X/x", "-apiVersion: example.org/v1", "+apiVersion: example.org/v2"}},
		"another group":              {"apiVersion: a.example.org/v1\nkind: X\nmetadata: {name: x}\n", "apiVersion: b.example.org/v1\nkind: X\nmetadata: {name: x}\n", []string{"removed X/x", "-apiVersion: a.example.org/v1", "-kind: X", "-metadata:", "-  name: x", "added X/x", "+apiVersion: b.example.org/v1", "+kind: X", "+metadata:", "+  name: x"}},
		"another namespace":          {"apiVersion: v1\nkind: X\nmetadata: {name: x, namespace: a}\n", "apiVersion: v1\nkind: X\nmetadata: {name: x, namespace: b}\n", []string{"removed X/a/x", "-apiVersion: v1", "-kind: X", "-metadata:", "-  name: x", "-  namespace: a", "added X/b/x", "+apiVersion: v1", "+kind: X", "+metadata:", "+  name: x", "+  namespace: b"}},
		"a hash":                     {fmt.Sprintf(config, "x-4h2mbtbbt6", "b"), fmt.Sprintf(config, "x-8f2d5hh62d", "c"), []string{"changed ConfigMap/x", "-  a: b", "+  a: c", "-  name: x-4h2mbtbbt6", "+  name: x-8f2d5hh62d"}},
		"from a hash to none":        {fmt.Sprintf(config, "x-4h2mbtbbt6", "b"), fmt.Sprintf(config, "x", "b"), []string{"changed ConfigMap/x", "-  name: x-4h2mbtbbt6", "+  name: x"}},
		"what only looks like one":   {fmt.Sprintf(config, "x-2456789bcd", "b"), fmt.Sprintf(config, "x-2456789bcf", "b"), []string{"removed ConfigMap/x-2456789bcd", "-apiVersion: v1", "-data:", "-  a: b", "-kind: ConfigMap", "-metadata:", "-  name: x-2456789bcd", "added ConfigMap/x-2456789bcf", "+apiVersion: v1", "+data:", "+  a: b", "+kind: ConfigMap", "+metadata:", "+  name: x-2456789bcf"}},
		"with a hash and without":    {fmt.Sprintf(config, "x", "b"), fmt.Sprintf(config, "x", "b") + "---\n" + fmt.Sprintf(config, "x-4h2mbtbbt6", "b"), []string{"added ConfigMap/x-4h2mbtbbt6", "+apiVersion: v1", "+data:", "+  a: b", "+kind: ConfigMap", "+metadata:", "+  name: x-4h2mbtbbt6"}},
		"a value of a Secret":        {fmt.Sprintf(secret, "", "data: {a: YQ==, b: YQ==}"), fmt.Sprintf(secret, "", "data: {a: YQ==, b: Yg==}"), []string{"changed Secret/x", "-  b: (hidden)", "+  b: (hidden, changed)"}},
		"a value that moves":         {fmt.Sprintf(secret, "", "data: {a: YQ==}"), fmt.Sprintf(secret, "", "stringData: {a: hunter2}"), []string{"changed Secret/x", "-data:", "-  a: (hidden)", "+stringData:", "+  a: (hidden)"}},
		"data of no mapping":         {fmt.Sprintf(secret, "", "data: {a: YQ==}"), fmt.Sprintf(secret, "", "data: [hunter2]"), []string{"changed Secret/x", "-data: (hidden)", "+data: (hidden, changed)"}},
		"a copy in an annotation":    {fmt.Sprintf(secret, "", ""), fmt.Sprintf(secret, ", annotations: {kubectl.kubernetes.io/last-applied-configuration: hunter2}", ""), []string{"changed Secret/x", "+  annotations:", "+    kubectl.kubernetes.io/last-applied-configuration: (hidden)"}},
		"a Secret that is added":     {"", fmt.Sprintf(secret, "", "data: {a: hunter2}"), []string{"added Secret/x", "+apiVersion: v1", "+data:", "+  a: (hidden)", "+kind: Secret", "+metadata:", "+  name: x"}},
		"a Secret that is removed":   {fmt.Sprintf(secret, "", "data: {a: hunter2}"), "", []string{"removed Secret/x", "-apiVersion: v1", "-data:", "-  a: (hidden)", "-kind: Secret", "-metadata:", "-  name: x"}},
		"another kind called Secret": {"apiVersion: example.org/v1\nkind: Secret\nmetadata: {name: x}\ndata: {a: b}\n", "apiVersion: example.org/v1\nkind: Secret\nmetadata: {name: x}\ndata: {a: c}\n", []string{"changed Secret/x", "-  a: b", "+  a: c"}},
	} {
		t.Run(name, func(t *testing.T) {
			changes, err := difference.Compare(objects(t, test.before), objects(t, test.after))
			require.NoError(t, err)
			var got []string
			for _, change := range changes {
				got = append(got, change.What+" "+change.Object)
				assert.NotContains(t, change.Diff, "hunter2")
				for line := range strings.Lines(change.Diff) {
					if strings.ContainsAny(line[:1], "-+") && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "+++") {
						got = append(got, strings.TrimSuffix(line, "\n"))
					}
				}
			}
			assert.Equal(t, test.want, got)
		})
	}
}

// TestMarkdownStaysWithinAComment has more than a comment holds, in each of the ways.
func TestMarkdownStaysWithinAComment(t *testing.T) {
	change := func(object, diff string) difference.Change {
		return difference.Change{What: difference.Changed, Object: object, Diff: diff}
	}
	many := func(n int, diff string) []difference.Change {
		var all []difference.Change
		for i := range n {
			all = append(all, change(fmt.Sprintf("ConfigMap/x%d", i), diff))
		}
		return all
	}
	for name, test := range map[string]struct {
		overlays int
		changes  []difference.Change
		failures int
		says     []string
	}{
		"one that is long":  {1, []difference.Change{change("ConfigMap/a", strings.Repeat("+é\n", 40000)), change("ConfigMap/b", "+short\n")}, 0, []string{"changed <code>ConfigMap/a</code> (40000 lines, left out)", "+short", "the diff of 1 object, 0 objects wholly, 0 failures"}},
		"many":              {1, many(5000, "+x\n"), 0, []string{"<code>ConfigMap/x0</code>", "Left out, since a comment holds 65536 characters"}},
		"many overlays":     {5000, []difference.Change{change("ConfigMap/a", "+x\n")}, 0, []string{"<code>overlays/9</code> and 4990 more", "+x"}},
		"many failures":     {1, many(1, "+x\n"), 1000, []string{"**failed**", "failures. `validate diff` prints all."}},
		"nothing is missed": {1, many(3, "+x\n"), 0, []string{"**Rendered overlays:** 0 added, 3 changed, 0 removed in 1 overlay, since main"}},
	} {
		t.Run(name, func(t *testing.T) {
			report := &difference.Report{Since: "main"}
			for i := range test.overlays {
				report.Add(fmt.Sprintf("overlays/%d", i), test.changes)
			}
			for range test.failures {
				report.Failures = append(report.Failures, difference.Failure{Overlay: "overlays/0", Text: strings.Repeat("no ", 10000)})
			}
			var text strings.Builder
			require.NoError(t, difference.Markdown(&text, report))
			assert.Less(t, text.Len(), 65536)
			for _, part := range test.says {
				assert.Contains(t, text.String(), part)
			}
			assert.Equal(t, name != "nothing is missed" && name != "many overlays", strings.Contains(text.String(), "Left out"))
		})
	}
}

// TestNothingEscapes: what objects hold steers neither Markdown nor a terminal nor a CI runner.
func TestNothingEscapes(t *testing.T) {
	report := &difference.Report{Since: "<b>"}
	report.Add("overlays/<b>`", []difference.Change{{
		What: difference.Added, Object: "X/</code><script>", Diff: "+````\n   ::error::x\n+\u202e\x1b[31m\tnbsp\u00a0\n```\n",
	}})
	report.Failures = []difference.Failure{{Overlay: "<i>", Text: "```\n::error::y"}}
	var text, markdown strings.Builder
	require.NoError(t, difference.Text(&text, report))
	assert.Equal(t, "overlays/<b>`\n\nadded X/</code><script>\n+````\n   \\::error::x\n+\\u202e\\u001b[31m\tnbsp\\u00a0\n```\n\n"+
		"failed <i>: ```\n\\::error::y\n1 added, 0 changed, 0 removed in 1 overlay; 1 overlay not compared, since <b>\n", text.String())
	require.NoError(t, difference.Markdown(&markdown, report))
	assert.Equal(t, "**Rendered overlays:** 1 added, 0 changed, 0 removed in 1 overlay; 1 overlay not compared, since &lt;b&gt;\n"+
		"\n**failed** <code>&lt;i&gt;</code>\n\n````\n```\n\\::error::y\n````\n"+
		"\n#### <code>overlays/&lt;b&gt;`</code>\n\n<details><summary>added <code>X/&lt;/code&gt;&lt;script&gt;</code></summary>\n\n"+
		"`````diff\n+````\n   \\::error::x\n+\\u202e\\u001b[31m\tnbsp\\u00a0\n```\n`````\n\n</details>\n", markdown.String())
}
