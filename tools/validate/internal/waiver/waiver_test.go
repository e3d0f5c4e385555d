package waiver_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/regular"
	"github.com/ft-services/ft-services/tools/validate/internal/waiver"
)

var policies = []string{"a/b", "a/c", "schema/strict"}

const head = "waivers: [{policy: a/b, object: Pod/x, reason: soon mended, owner: web, expires: \"2026-05-31\""

func load(t *testing.T, text string, now time.Time) (*waiver.List, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "waivers.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return waiver.Load(file, false, policies, now)
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return moment
}

func TestAWaiverHoldsThroughItsLastDay(t *testing.T) {
	for moment, holds := range map[string]bool{
		"2026-05-30T12:00:00Z": true,
		"2026-05-31T23:59:59Z": true,
		"2026-06-01T00:00:00Z": false,
		"2027-01-01T00:00:00Z": false,
	} {
		list, err := load(t, head+"}]", at(t, moment))
		require.NoError(t, err)
		assert.Empty(t, list.Ended(), "%s: it has met no finding yet", moment)
		excuse := list.Excuse(waiver.Finding{Policy: "a/b", Overlay: "overlays/one", Object: "Pod/x"})
		assert.Equal(t, holds, excuse != nil, moment)
		if holds {
			assert.Equal(t, "soon mended", excuse.Reason)
			assert.Equal(t, "web", excuse.Owner)
			assert.Empty(t, list.Ended(), moment)
		} else {
			require.Len(t, list.Ended(), 1, moment)
			assert.Equal(t, "2026-05-31", list.Ended()[0].Expires)
		}
		assert.Empty(t, list.Unused(nil, true), "%s: it has met a finding", moment)
	}
}

func TestExcuse(t *testing.T) {
	now := at(t, "2026-05-01T00:00:00Z")
	here, err := filepath.Abs(".")
	require.NoError(t, err)
	found := waiver.Finding{Policy: "a/b", Overlay: "overlays/one", Object: "Pod/x", Container: "web", Path: []any{"spec", "containers", 0, "image"}}
	overlay := func(dir string) waiver.Finding { return waiver.Finding{Policy: "a/b", Overlay: dir, Object: "Pod/x"} }
	for name, test := range map[string]struct {
		fields  string
		finding waiver.Finding
		want    bool
	}{
		"any overlay":                {"", found, true},
		"another policy":             {"", waiver.Finding{Policy: "a/c", Overlay: "overlays/one", Object: "Pod/x"}, false},
		"another object":             {"", waiver.Finding{Policy: "a/b", Overlay: "overlays/one", Object: "Pod/y"}, false},
		"its overlay":                {"overlay: overlays/one", found, true},
		"another overlay":            {"overlay: overlays/two", found, false},
		"the end of another name":    {"overlay: one", overlay("overlays/not-one"), false},
		"spelled otherwise":          {"overlay: ./overlays/one/", found, true},
		"an absolute path":           {"overlay: overlays/one", overlay("/srv/stack/overlays/one"), true},
		"from elsewhere":             {"overlay: " + filepath.Base(here) + "/one", overlay("one"), true},
		"a glob":                     {"overlay: overlays/o*", found, true},
		"a glob of all":              {"overlay: overlays/*", overlay("/srv/overlays/two"), true},
		"a glob is of one directory": {"overlay: overlays/*", overlay("/srv/overlays/eu/two"), false},
		"a glob of another":          {"overlay: overlays/t*", found, false},
		"an absolute glob":           {"overlay: /srv/*/one", overlay("/srv/overlays/one"), true},
		"longer than the path":       {"overlay: a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z", overlay("/one"), false},
		"its field":                  {"path: 'spec.containers[0].image'", found, true},
		"a field above":              {"path: 'spec.containers[0]'", found, true},
		"another field":              {"path: 'spec.containers[1].image'", found, false},
		"the beginning of a key":     {"path: 'spec.containers[0].im'", found, false},
		"a field below":              {"path: 'spec.containers[0].image.tag'", found, false},
		"its container":              {"container: web", found, true},
		"another container":          {"container: app", found, false},
		"of no container":            {"container: web", overlay("overlays/one"), false},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := load(t, head+", "+test.fields+"}]", now)
			require.NoError(t, err)
			assert.Equal(t, test.want, list.Excuse(test.finding) != nil)
			assert.Equal(t, test.want, len(list.Unused(nil, true)) == 0)
		})
	}
}

// TestAnExpiredWaiverThatWasRenewed is of no more use, and hides nothing.
func TestAnExpiredWaiverThatWasRenewed(t *testing.T) {
	list, err := load(t, `waivers:
- {policy: a/b, object: Pod/x, reason: r, owner: o, expires: 2026-05-31}
- {policy: a/b, object: Pod/x, reason: again, owner: o, expires: 2026-12-31}
`, at(t, "2026-06-01T00:00:00Z"))
	require.NoError(t, err)
	excuse := list.Excuse(waiver.Finding{Policy: "a/b", Overlay: "overlays/one", Object: "Pod/x"})
	require.NotNil(t, excuse)
	assert.Equal(t, "again", excuse.Reason)
	assert.Empty(t, list.Ended())
	require.Len(t, list.Unused(nil, true), 1)
	assert.Equal(t, 2, list.Unused(nil, true)[0].Line)
}

func TestUnused(t *testing.T) {
	now := at(t, "2026-05-01T00:00:00Z")
	for name, test := range map[string]struct {
		waiver  string
		checked []string
		all     bool
		want    int
	}{
		"all were checked":                  {"", []string{"overlays/one"}, true, 1},
		"it may be for another":             {"", []string{"overlays/one"}, false, 0},
		"its overlay was checked":           {"overlays/one", []string{"overlays/two", "overlays/one"}, false, 1},
		"its overlay was not":               {"overlays/one", []string{"overlays/two"}, false, 0},
		"its overlay does not exist at all": {"overlays/one", []string{"overlays/two"}, true, 1},
		"its glob may be for another":       {"overlays/*", []string{"overlays/two"}, false, 0},
		"its glob is for none":              {"overlays/t*", []string{"overlays/one"}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			overlay := ""
			if test.waiver != "" {
				overlay = ", overlay: \"" + test.waiver + "\""
			}
			list, err := load(t, head+overlay+"}]", now)
			require.NoError(t, err)
			assert.Len(t, list.Unused(test.checked, test.all), test.want)
		})
	}
}

// TestLoadRefuses looks for file, line, what is wrong and the mend. Each entry is the whole file, or,
// when it begins with a brace, a waiver in line 3.
func TestLoadRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                              "waivers.yaml: is empty; write a mapping with the key waivers",
		"[]":                            "waivers.yaml:1: the file holds a list; write a mapping with the key waivers",
		"# none":                        "waivers.yaml: is empty; write a mapping",
		"---":                           "waivers.yaml:2: the file holds nothing; write a mapping",
		"\xff\xfe\x00":                  "broken YAML",
		"a: &a {}\nwaivers: [*a]":       "waivers.yaml:2: a waiver is an alias; write a mapping",
		"waivers:\n- <<: {}":            `waivers.yaml:2: unknown field "<<"`,
		"waivers: [":                    "waivers.yaml:1: broken YAML: ",
		"a: 1\n  b: 2":                  "waivers.yaml:2: broken YAML: mapping values are not allowed in this context",
		"waivres: []":                   `waivers.yaml:1: unknown field "waivres"; did you mean waivers?`,
		"# none\n{}":                    "waivers.yaml:2: waivers is missing; write a mapping",
		"waivers: {}":                   "waivers.yaml:1: waivers holds a mapping; write a list",
		"waivers: []\nwaivers: []":      "waivers.yaml:2: waivers stands twice, first in line 1; keep one of them",
		"waivers: []\n---\nwaivers: []": "waivers.yaml:2: a second document; keep all waivers in one list",
		"waivers:\n- text":              "waivers.yaml:2: a waiver is a text; write a mapping with policy, object, reason, owner, expires",
		"{object: P/x, reason: r, owner: o, expires: 2026-05-31}":                                     "waivers.yaml:3: policy is missing; write category/policy",
		"{policy: a/b, reason: r, owner: o, expires: 2026-05-31}":                                     "waivers.yaml:3: object is missing; write Kind/namespace/name",
		"{policy: a/b, object: P/x, owner: o, expires: 2026-05-31}":                                   "waivers.yaml:3: reason is missing; say why",
		"{policy: a/b, object: P/x, reason: r, expires: 2026-05-31}":                                  "waivers.yaml:3: owner is missing; name who",
		"{policy: a/b, object: P/x, reason: r, owner: o}":                                             "waivers.yaml:3: expires is missing; write the last day, UTC, as 2027-01-31",
		"{policy: a/b, object: P/x, reason: r, owner: o, expires: 2026-02-30}":                        `waivers.yaml:3: expires: "2026-02-30" is no day; write the last day`,
		"{policy: a/b, object: P/x, reason: r, owner: o, expires: [2026-02-28]}":                      "waivers.yaml:3: expires holds a list; write a text",
		"{policy: a/b, object: P/x, reason: ' ', owner: o, expires: 2026-05-31}":                      "waivers.yaml:3: reason is empty; say why",
		"{policy: a/b, object: P/x, reason: , owner: o, expires: 2026-05-31}":                         "waivers.yaml:3: reason holds nothing; write a text",
		"{policy: a/bb, object: P/x, reason: r, owner: o, expires: 2026-05-31}":                       `waivers.yaml:3: policy: there is no policy "a/bb"; near: a/b`,
		"{policy: a/b, object: x, reason: r, owner: o, expires: 2026-05-31}":                          `waivers.yaml:3: object: "x" is no object; write Kind/namespace/name`,
		"{policy: a/b, object: P/x, reason: r, owner: o, expires: 2026-05-31, overlay: 'a['}":         `waivers.yaml:3: overlay: "a[" is no glob: syntax error in pattern; escape`,
		"{policy: a/b, object: P/x, reason: r, owner: o, expires: 2026-05-31, overlay: ../a}":         `waivers.yaml:3: overlay: "../a" leads upwards; write the end`,
		"{policy: a/b, object: P/x, reason: r, owner: o, expires: 2026-05-31, path: a..b}":            `waivers.yaml:3: path: "a..b": a key is missing before ".b"; write it as the report does`,
		"{policy: a/b, object: P/x, reason: r, owner: o, expires: 2026-05-31, path: a, container: b}": "waivers.yaml:3: path and container exclude each other; keep one of them",
		"{polcy: a/b, object: P/x, reason: r, owner: o, expires: 2026-05-31}":                         `waivers.yaml:3: unknown field "polcy"; did you mean policy?`,
		"{policy: a/b, nonsense: 1, object: P/x, reason: r, owner: o, expires: 2026-05-31}":           `unknown field "nonsense"; known: container, expires, object, overlay, owner, path, policy, reason`,
		"{policy: a/b, policy: a/c, object: P/x, reason: r, owner: o, expires: 2026-05-31}":           "waivers.yaml:3: policy stands twice, first in line 3; keep one of them",
	} {
		if strings.HasPrefix(text, "{") {
			text = "# Temporary.\nwaivers:\n- " + text
		}
		_, err := load(t, text, time.Time{})
		assert.ErrorContains(t, err, says, text)
	}
}

func TestLoadTellsEveryMistake(t *testing.T) {
	_, err := load(t, "waivers:\n- {policy: a/b}\n- {policy: a/b, object: P/x, reason: r, owner: o, expires: soon}\n", time.Time{})
	require.Error(t, err)
	assert.Len(t, strings.Split(err.Error(), "\n"), 5)
}

func TestLoadWithoutAFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	_, err := waiver.Load(missing, false, policies, time.Time{})
	assert.ErrorIs(t, err, os.ErrNotExist)
	list, err := waiver.Load(missing, true, policies, time.Time{})
	require.NoError(t, err)
	assert.Nil(t, list.Excuse(waiver.Finding{Policy: "a/b", Overlay: "overlays/one", Object: "Pod/x"}))

	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err = waiver.Load(pipe, false, policies, time.Time{})
	assert.ErrorIs(t, err, regular.ErrNot)

	for _, text := range []string{"waivers: []", "waivers:"} {
		list, err := load(t, text, time.Time{})
		require.NoError(t, err)
		assert.Empty(t, list.Unused(nil, true))
	}
}
