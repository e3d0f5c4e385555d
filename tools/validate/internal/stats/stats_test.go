package stats_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/stats"
)

func TestRecorder(t *testing.T) {
	recorder := stats.New([]string{"objects", "policies"}, []string{"render"})
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			defer recorder.Stage("render")()
			defer recorder.Stage("other")()
			recorder.Count("objects", 2)
		})
	}
	group.Wait()
	var text strings.Builder
	require.NoError(t, recorder.Write(&text))
	assert.Regexp(t, `^objects     20
policies    0
render      \d+\.\d ms
other       \d+\.\d ms
wall clock  \d+\.\d ms
$`, text.String())
}

func TestNobodyRecords(t *testing.T) {
	var recorder *stats.Recorder
	recorder.Stage("render")()
	recorder.Count("objects", 1)
	assert.NoError(t, recorder.Write(nil))
}
