package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/ft-services/ft-services/tools/images/internal/build"
)

// progress returns a function that prints a line for each step, with the seconds since the beginning.
func progress(out io.Writer, began time.Time) func(image, text string) {
	var mutex sync.Mutex
	return func(image, text string) {
		mutex.Lock()
		defer mutex.Unlock()
		first, _, _ := strings.Cut(text, "\n")
		fmt.Fprintf(out, "%4.0f s  %-12s %s\n", time.Since(began).Seconds(), image, first)
		if rest := strings.TrimPrefix(text, first); rest != "" {
			fmt.Fprintln(out, strings.TrimPrefix(rest, "\n"))
		}
	}
}

const mebibyte = 1 << 20

// printSummary prints a row for each image, and the whole set with the base image counted once.
func printSummary(out io.Writer, results []build.Result, took time.Duration) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "IMAGE\tTAG\tRESULT\tCOMPRESSED\tUNPACKED\tWITHOUT BASE\tPACKAGES\tBUILD TIME\t")
	var stored, unpacked int64
	packages := 0
	for _, r := range results {
		_, tag, _ := strings.Cut(r.Reference, ":")
		if r.Record == nil {
			fmt.Fprintf(w, "%s\t%s\t%s\t-\t-\t-\t-\t-\t\n", r.Name, tag, r.Status)
			continue
		}
		held := r.Record
		var compressed int64
		for _, layer := range held.Inventory.Layers {
			compressed += layer.StoredSize
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%.0f s\t\n", r.Name, tag, r.Status, size(compressed), size(held.Inventory.Size),
			size(held.OwnUnpacked), len(held.Inventory.Packages), held.Seconds)
		stored += held.OwnStored
		unpacked += held.OwnUnpacked
		packages += len(held.Packages)
	}
	fmt.Fprintf(w, "all\t\tbase once\t%s\t%s\t\t%d\t%.0f s\t\n", size(stored), size(unpacked), packages, took.Seconds())
	return w.Flush()
}

func size(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/mebibyte) }
