package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/ft-services/ft-services/tools/validate/internal/bound"
)

// Flags that a run passes to the one that takes its place; they are no part of the command line that
// people use.
const (
	overranFlag  = "overran"    // a JSON array of an overlay and what is wrong with it; repeatable
	oneByOneFlag = "one-by-one" // to tell which overlay, and which policy, takes the memory
)

func restartFlags(flags *pflag.FlagSet, o *options) {
	flags.StringArrayVar(&o.overran, overranFlag, nil, "")
	flags.BoolVar(&o.oneByOne, oneByOneFlag, false, "")
	for _, name := range []string{overranFlag, oneByOneFlag} {
		flags.Lookup(name).Hidden = true
	}
}

// Watch returns a context in which a run keeps within its bounds: when something overran that cannot be
// stopped, the process begins anew without the overlay that it was about. What takes the memory is found
// out one by one. The environment is that of the new start: this one's has no PATH any more.
func Watch(ctx context.Context, args, environment []string, stderr io.Writer) context.Context {
	anew := func(why, flag string) {
		program, err := os.Executable()
		if err == nil {
			err = syscall.Exec(program, slices.Insert(slices.Clone(args), 1, flag), environment)
		}
		fmt.Fprintf(stderr, "validate: %s; the other overlays are not checked: starting anew: %v\n", why, err)
		os.Exit(ExitFailed)
	}
	without := func(why string, task bound.Suspect) {
		why = task.Doing + ": " + why
		text, err := json.Marshal([]string{task.Task, why})
		if err != nil {
			panic(err) // Two texts are JSON.
		}
		anew(why, fmt.Sprintf("--%s=%s", overranFlag, text))
	}
	watch := &bound.Watch{
		Late: without,
		Short: func(why string, suspects []bound.Suspect) {
			switch oneByOne := "--" + oneByOneFlag; {
			case len(suspects) == 0:
				fmt.Fprintf(stderr, "validate: what is loaded, a policy, its tests, the facts or the waivers, %s\n", why)
				os.Exit(ExitFailed)
			case !slices.Contains(args, oneByOne):
				anew(why, oneByOne)
			default:
				without(why, suspects[0])
			}
		},
	}
	go watch.Memory(ctx)
	return bound.With(ctx, watch)
}

// overranReasons are the overlays that an earlier start could not check, and why.
func (o options) overranReasons() map[string]string {
	reasons := map[string]string{}
	for _, each := range o.overran {
		var pair [2]string
		if err := json.Unmarshal([]byte(each), &pair); err == nil { // Only a process itself writes them.
			reasons[pair[0]] = pair[1]
		}
	}
	return reasons
}
