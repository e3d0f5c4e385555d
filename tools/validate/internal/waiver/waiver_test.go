package waiver_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/regular"
	"github.com/ft-services/ft-services/tools/validate/internal/waiver"
)

const head = "waivers: [{policy: a/b, object: Pod/x, reason: soon mended, expires: \"2026-05-31\""

func load(t *testing.T, text string, now time.Time) (*waiver.List, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "waivers.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return waiver.Load(file, false, now)
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
		reason, excused := list.Excuse("a/b", "overlays/one", "Pod/x")
		assert.Equal(t, holds, excused, moment)
		if holds {
			assert.Equal(t, "soon mended", reason)
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
	for name, test := range map[string]struct {
		waiver                  string
		policy, overlay, object string
		want                    bool
	}{
		"any overlay":             {"", "a/b", "overlays/one", "Pod/x", true},
		"another policy":          {"", "a/c", "overlays/one", "Pod/x", false},
		"another object":          {"", "a/b", "overlays/one", "Pod/y", false},
		"its overlay":             {"overlays/one", "a/b", "overlays/one", "Pod/x", true},
		"another overlay":         {"overlays/one", "a/b", "overlays/two", "Pod/x", false},
		"the end of another name": {"one", "a/b", "overlays/not-one", "Pod/x", false},
		"spelled otherwise":       {"./overlays/one/", "a/b", "overlays/one", "Pod/x", true},
		"an absolute path":        {"overlays/one", "a/b", "/srv/stack/overlays/one", "Pod/x", true},
		"from elsewhere":          {filepath.Base(here) + "/one", "a/b", "one", "Pod/x", true},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := load(t, head+", overlay: \""+test.waiver+"\"}]", now)
			require.NoError(t, err)
			_, excused := list.Excuse(test.policy, test.overlay, test.object)
			assert.Equal(t, test.want, excused)
		})
	}
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
	} {
		t.Run(name, func(t *testing.T) {
			list, err := load(t, head+", overlay: \""+test.waiver+"\"}]", now)
			require.NoError(t, err)
			assert.Len(t, list.Unused(test.checked, test.all), test.want)
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"waivers: [{object: Pod/x, reason: r, expires: \"2026-05-31\"}]":              "waiver 1: policy is missing",
		"waivers: [{policy: a/b, reason: r, expires: \"2026-05-31\"}]":                "waiver 1: object is missing",
		"waivers: [{policy: a/b, object: Pod/x, expires: \"2026-05-31\"}]":            "waiver 1: reason is missing",
		"waivers: [{policy: a/b, object: Pod/x, reason: r}]":                          "waiver 1: expires is missing",
		"waivers: [{policy: a/b, object: Pod/x, reason: r, expires: \"2026-02-30\"}]": "is no day of the form",
		"waivres: []": "unknown field",
		"waivers: [":  "waivers.yaml: ",
	} {
		_, err := load(t, text, time.Time{})
		assert.ErrorContains(t, err, says)
	}
	missing := filepath.Join(t.TempDir(), "none")
	_, err := waiver.Load(missing, false, time.Time{})
	assert.ErrorIs(t, err, os.ErrNotExist)
	list, err := waiver.Load(missing, true, time.Time{})
	require.NoError(t, err)
	_, excused := list.Excuse("a/b", "overlays/one", "Pod/x")
	assert.False(t, excused)

	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err = waiver.Load(pipe, false, time.Time{})
	assert.ErrorIs(t, err, regular.ErrNot)
}
