// Package bound keeps a run within time and memory, whatever its input is. Neither a build of Kustomize
// nor a built-in function of Rego can be interrupted: what overruns is left behind, and when it takes
// more memory than the process should have, nothing frees that but the end of the process.
package bound

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"time"
)

// Call runs f, which cannot be interrupted, and leaves it behind when the context ends; the error is
// then the context's cause. A panic is an error too: one overlay must not take the others with it.
func Call[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	t := taskOf(ctx)
	t.change(func() { t.calls++ })
	done := make(chan outcome, 1)
	go func() {
		defer t.change(func() { t.calls-- })
		defer func() {
			if r := recover(); r != nil {
				done <- outcome{err: fmt.Errorf("crashed: %v", r)}
			}
		}()
		value, err := f()
		done <- outcome{value, err}
	}()
	select {
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case result := <-done:
		return result.value, result.err
	}
}

// Watch knows what is being done, to tell what memory is used for.
type Watch struct {
	// Late is called, at most once at a time, when a task has run out of time and left something behind.
	Late func(why string, task Suspect)
	// Short is called when memory is short, with the tasks that may be why: none before the first.
	Short func(why string, suspects []Suspect)

	mutex sync.Mutex
	tasks []*task
	over  sync.Mutex
}

type task struct {
	watch *Watch
	name  string
	doing string
	ended bool
	calls int // that have not returned, whether they were left behind or not
}

type watchKey struct{}
type taskKey struct{}

// With returns a context whose tasks are watched. Without it, nothing below is.
func With(ctx context.Context, w *Watch) context.Context {
	return context.WithValue(ctx, watchKey{}, w)
}

// Begin starts a task; what is done with the returned context belongs to it until end is called.
func Begin(ctx context.Context, name string) (within context.Context, end func()) {
	w, watched := ctx.Value(watchKey{}).(*Watch)
	if !watched {
		return ctx, func() {}
	}
	t := &task{watch: w, name: name}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.tasks = append(w.tasks, t)
	return context.WithValue(ctx, taskKey{}, t), func() { t.change(func() { t.ended = true }) }
}

// Doing notes what the context's task is at, such as "rendering overlays/a".
func Doing(ctx context.Context, what string) {
	t := taskOf(ctx)
	t.change(func() { t.doing = what })
}

func taskOf(ctx context.Context) *task {
	t, _ := ctx.Value(taskKey{}).(*task)
	return t
}

// Overran tells the watch, if there is one, that the context's task has run out of time and left
// something behind.
func Overran(ctx context.Context) {
	if t := taskOf(ctx); t != nil {
		t.watch.over.Lock()
		defer t.watch.over.Unlock()
		t.watch.Late(context.Cause(ctx).Error(), Suspect{t.name, t.doing})
	}
}

// change changes a task, if there is one, and forgets it when nothing of it runs any more.
func (t *task) change(how func()) {
	if t == nil {
		return
	}
	t.watch.mutex.Lock()
	defer t.watch.mutex.Unlock()
	how()
	if t.ended && t.calls == 0 {
		t.watch.tasks = slices.DeleteFunc(t.watch.tasks, func(other *task) bool { return other == t })
	}
}

// A Suspect is what a task was at when there was too little memory.
type Suspect struct {
	Task, Doing string
}

// suspects are the tasks that left something behind; without one, those that are running.
func (w *Watch) suspects() []Suspect {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var left, running []Suspect
	for _, t := range w.tasks {
		if t.ended {
			left = append(left, Suspect{t.name, t.doing})
		} else {
			running = append(running, Suspect{t.name, t.doing})
		}
	}
	if len(left) > 0 {
		return left
	}
	return running
}

const (
	// defaultMemory is what a run gets along with, in bytes, where the environment has no GOMEMLIMIT.
	defaultMemory = 1 << 30
	// interval is how often memory is looked at: in so short a time it does not grow by much.
	interval = 10 * time.Millisecond
)

// Memory calls Short when the process needs more memory than it should have although everything that can
// be freed is: a quarter more than GOMEMLIMIT, or than 1 GiB. It returns then, or when the context ends.
func (w *Watch) Memory(ctx context.Context) {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		limit = defaultMemory
		debug.SetMemoryLimit(limit)
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		metrics.Read(sample)
		if int64(sample[0].Value.Uint64()) > limit+limit/4 {
			w.over.Lock()
			defer w.over.Unlock()
			w.Short(fmt.Sprintf("needs more than %d MiB of memory; allow more with GOMEMLIMIT in the environment, as in GOMEMLIMIT=2GiB", limit>>20), w.suspects())
			return
		}
	}
}
