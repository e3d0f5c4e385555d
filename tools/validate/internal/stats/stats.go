// Package stats counts what a run did and how long each of its stages took.
package stats

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// Recorder adds up. A nil Recorder records nothing; it may be used by several goroutines.
type Recorder struct {
	mutex  sync.Mutex
	start  time.Time
	stages []stage
	counts []count
}

type stage struct {
	name  string
	spent time.Duration
}

type count struct {
	name string
	n    int
}

// New starts the clock. The counts and the stages are written in the order given here.
func New(counts, stages []string) *Recorder {
	r := &Recorder{start: time.Now()}
	for _, name := range counts {
		r.counts = append(r.counts, count{name: name})
	}
	for _, name := range stages {
		r.stages = append(r.stages, stage{name: name})
	}
	return r
}

// Stage begins a stage and returns what ends it.
func (r *Recorder) Stage(name string) (stop func()) {
	if r == nil {
		return func() {}
	}
	start := time.Now()
	return func() {
		spent := time.Since(start)
		r.mutex.Lock()
		defer r.mutex.Unlock()
		i := slices.IndexFunc(r.stages, func(s stage) bool { return s.name == name })
		if i < 0 {
			i = len(r.stages)
			r.stages = append(r.stages, stage{name: name})
		}
		r.stages[i].spent += spent
	}
}

// Count adds n.
func (r *Recorder) Count(name string, n int) {
	if r == nil {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	i := slices.IndexFunc(r.counts, func(c count) bool { return c.name == name })
	if i < 0 {
		i = len(r.counts)
		r.counts = append(r.counts, count{name: name})
	}
	r.counts[i].n += n
}

// Write prints a table: the counts, the time of each stage, and that of the whole run.
func (r *Recorder) Write(w io.Writer) error {
	if r == nil {
		return nil
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, count := range r.counts {
		fmt.Fprintf(table, "%s\t%d\n", count.name, count.n)
	}
	for _, stage := range r.stages {
		fmt.Fprintf(table, "%s\t%s\n", stage.name, milliseconds(stage.spent))
	}
	fmt.Fprintf(table, "wall clock\t%s\n", milliseconds(time.Since(r.start)))
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the statistics: %w", err)
	}
	return nil
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
