package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

type report struct {
	Machine  string            `json:"machine"`
	Versions map[string]string `json:"versions"`
	Distinct bool              `json:"distinct"`
	Results  []Result          `json:"results"`
}

func (r report) writeHead(w io.Writer) {
	fmt.Fprintf(w, "%s.\n", r.Machine)
	for _, name := range []string{"kustomize", "conftest"} {
		if r.Versions[name] != "" {
			fmt.Fprintf(w, "%s.\n", r.Versions[name])
		}
	}
}

// write prints a table: medians, and the ratio of ours to each in the same round.
func (r Result) write(w io.Writer) {
	fmt.Fprintf(w, "\n### %s: %d objects, %d rounds\n\n", r.Size, r.Objects, len(r.Usages[ours]))
	fmt.Fprintln(w, "| contender | wall | CPU | CPU an object | peak | validate's wall / its (least, most) | CPU |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, name := range r.names {
		usages := r.Usages[name]
		wall := median(usages, func(u Usage) float64 { return u.Wall.Seconds() })
		cpu := median(usages, func(u Usage) float64 { return u.CPU.Seconds() })
		peak := median(usages, func(u Usage) float64 { return float64(u.Peak) })
		fmt.Fprintf(w, "| %s | %.2f s | %.2f s | %.0f µs | %.0f MiB | %s | %s |\n", name, wall, cpu, cpu*1e6/float64(r.Objects), peak/(1<<20),
			r.ratio(name, func(u Usage) time.Duration { return u.Wall }), r.ratio(name, func(u Usage) time.Duration { return u.CPU }))
	}
}

// ratio is the median of ours by the other's, round by round, which a machine that is slow for a while
// hardly changes.
func (r Result) ratio(name string, of func(Usage) time.Duration) string {
	if name == ours {
		return "1"
	}
	var ratios []float64
	for i, usage := range r.Usages[name] {
		ratios = append(ratios, of(r.Usages[ours][i]).Seconds()/of(usage).Seconds())
	}
	return fmt.Sprintf("%.2f (%.2f, %.2f)", median(ratios, func(f float64) float64 { return f }), slices.Min(ratios), slices.Max(ratios))
}

func median[T any](items []T, of func(T) float64) float64 {
	values := make([]float64, len(items))
	for i, item := range items {
		values[i] = of(item)
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}

func (r report) writeJSON(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// versions is what the others say of themselves.
func (p programs) versions(ctx context.Context) map[string]string {
	found := map[string]string{}
	for name, args := range map[string][]string{"kustomize": {p.kustomize, "version"}, "conftest": {p.conftest, "--version"}} {
		if output, err := exec.CommandContext(ctx, args[0], args[1:]...).Output(); err == nil {
			found[name] = name + " " + strings.TrimPrefix(strings.Join(strings.Fields(string(output)), " "), "Conftest: ")
		}
	}
	return found
}

// describeMachine is what the numbers depend on.
func describeMachine() string {
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	return fmt.Sprintf("%s, %d processors, %s %s/%s, load average at the start %s", processor(), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, load)
}

func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if name, value, found := strings.Cut(lines.Text(), ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
