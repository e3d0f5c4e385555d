package progress

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUntil(t *testing.T) {
	broken := errors.New("broken")
	calls := 0
	tests := map[string]struct {
		ready func(context.Context) error
		calls int
		want  string
	}{
		"at once": {func(context.Context) error { return nil }, 1, ""},
		"the third": {func(context.Context) error {
			if calls < 3 {
				return broken
			}
			return nil
		}, 3, ""},
		"no use":      {func(context.Context) error { return Stop(broken) }, 1, "wait for it: broken"},
		"out of time": {func(context.Context) error { return broken }, 0, "wait for it: not within 50ms: broken"},
		"it hangs":    {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 1, "not within 50ms: context deadline exceeded"},
		"cause, then it hangs": {func(ctx context.Context) error {
			if calls == 1 {
				return broken
			}
			<-ctx.Done()
			return ctx.Err()
		}, 2, "not within 50ms: broken"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			calls = 0
			err := Until(t.Context(), "it", 50*time.Millisecond, time.Millisecond, func(ctx context.Context) error {
				calls++
				return test.ready(ctx)
			})
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
			}
			if test.calls > 0 {
				assert.Equal(t, test.calls, calls)
			}
		})
	}
}

func TestUntilInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := Until(ctx, "it", time.Minute, time.Minute, func(context.Context) error {
		cancel()
		return errors.New("not yet")
	})
	require.ErrorIs(t, err, context.Canceled)
}

func TestStepShowsElapsedTime(t *testing.T) {
	var out bytes.Buffer
	log := New(&out)
	log.Step("started %s", "etcd")
	assert.Regexp(t, `^ +0\.\ds  started etcd\n$`, out.String())
}
