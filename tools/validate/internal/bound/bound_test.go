package bound_test

import (
	"context"
	"errors"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ft-services/ft-services/tools/validate/internal/bound"
)

func TestCall(t *testing.T) {
	value, err := bound.Call(t.Context(), func() (int, error) { return 1, errors.ErrUnsupported })
	assert.Equal(t, 1, value)
	assert.ErrorIs(t, err, errors.ErrUnsupported)

	_, err = bound.Call(t.Context(), func() (int, error) { panic("bad input") })
	assert.EqualError(t, err, "crashed: bad input")

	cause := errors.New("takes too long")
	ctx, cancel := context.WithCancelCause(t.Context())
	release := make(chan struct{})
	defer close(release)
	_, err = bound.Call(ctx, func() (int, error) {
		cancel(cause)
		<-release
		return 1, nil
	})
	assert.Equal(t, cause, err)
	_, err = bound.Call(ctx, func() (int, error) { panic("not called") })
	assert.Equal(t, cause, err)
}

// TestMemoryNamesWhatTakesIt has a limit that every process is over.
func TestMemoryNamesWhatTakesIt(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1))
	suspects := func(w *bound.Watch) []bound.Suspect {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var found []bound.Suspect
		w.Short = func(why string, suspects []bound.Suspect) {
			assert.Contains(t, why, "needs more than 0 MiB of memory")
			found = suspects
		}
		w.Memory(ctx)
		require.NoError(t, ctx.Err())
		return found
	}
	watch := &bound.Watch{}
	ctx := bound.With(t.Context(), watch)
	assert.Empty(t, suspects(watch), "nothing has begun")

	one, endOne := bound.Begin(ctx, "one")
	_, endTwo := bound.Begin(ctx, "two")
	bound.Doing(one, "rendering one")
	assert.Equal(t, []bound.Suspect{{"one", "rendering one"}, {"two", ""}}, suspects(watch))

	left, cancel := context.WithCancel(one)
	release := make(chan struct{})
	_, err := bound.Call(left, func() (int, error) {
		cancel()
		<-release
		return 0, nil
	})
	require.ErrorIs(t, err, context.Canceled)
	endOne()
	assert.Equal(t, []bound.Suspect{{"one", "rendering one"}}, suspects(watch), "what was left behind still takes memory")

	close(release)
	assert.Eventually(t, func() bool { return len(suspects(watch)) == 1 && suspects(watch)[0].Task == "two" }, time.Minute, time.Millisecond)
	endTwo()
	assert.Empty(t, suspects(watch))
}

func TestNothingIsWatchedWithoutAWatch(t *testing.T) {
	ctx, end := bound.Begin(t.Context(), "one")
	bound.Doing(ctx, "rendering")
	value, err := bound.Call(ctx, func() (int, error) { return 1, nil })
	end()
	assert.NoError(t, err)
	assert.Equal(t, 1, value)
}

func TestOverran(t *testing.T) {
	var found bound.Suspect
	watch := &bound.Watch{Late: func(why string, task bound.Suspect) {
		assert.Equal(t, "takes too long", why)
		found = task
	}}
	ctx, cancel := context.WithCancelCause(bound.With(t.Context(), watch))
	ctx, end := bound.Begin(ctx, "one")
	defer end()
	bound.Doing(ctx, "rendering one")
	cancel(errors.New("takes too long"))
	bound.Overran(ctx)
	assert.Equal(t, bound.Suspect{Task: "one", Doing: "rendering one"}, found)
}
