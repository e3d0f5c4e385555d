// Package progress tells a person what a long run is doing, and keeps every wait bounded.
package progress

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Log prints a line for each step, with the seconds since the run began. Steps may come from several goroutines.
type Log struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

// New returns a log whose clock starts now.
func New(out io.Writer) *Log {
	return &Log{out: out, start: time.Now()}
}

// Step prints one line.
func (l *Log) Step(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%6.1fs  %s\n", time.Since(l.start).Seconds(), fmt.Sprintf(format, args...))
}

// Text prints lines as they are.
func (l *Log) Text(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.out, strings.TrimRight(text, "\n"))
}

// Writer returns the log's destination, for programs that print by themselves.
func (l *Log) Writer() io.Writer {
	return l.out
}

// Stop wraps an error after which waiting longer is of no use.
func Stop(err error) error {
	return stop{err}
}

type stop struct{ error }

func (s stop) Unwrap() error { return s.error }

// Until calls ready every interval until it returns nil, a Stop error, or the bound is over; then the error says what
// was waited for and what was last in the way.
func Until(ctx context.Context, what string, bound, interval time.Duration, ready func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	var last error
	for {
		err := ready(bounded)
		if err == nil {
			return nil
		}
		if s, ok := err.(stop); ok {
			return fmt.Errorf("wait for %s: %w", what, s.error)
		}
		// What the bound itself interrupted says nothing about the cause.
		if last == nil || bounded.Err() == nil {
			last = err
		}
		select {
		case <-time.After(interval):
		case <-bounded.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
			}
			return fmt.Errorf("wait for %s: not within %s: %w", what, bound, last)
		}
	}
}
