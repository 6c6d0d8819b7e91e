// Command devcluster starts a real Kubernetes, PostgreSQL and OpenBao for development and tests, and takes all of it
// down again. README.md beside the module says how to use it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"tenantra.io/hack/devcluster/internal/run"
)

// errUsage ends the program with the status for a wrong command line; its text is printed already.
var errUsage = errors.New("usage")

type command struct {
	name, arguments, summary string
	do                       func(context.Context, []string) error
}

func commands() []command {
	return []command{
		{"up", "[flags]", "start a run and keep it until Ctrl-C", up},
		{"run", "[flags] -- COMMAND…", "start a run, run a command in its environment, take the run down", runCommand},
		{"wait", "--dir DIR", "wait until the run in a folder is ready", wait},
		{"status", "--dir DIR", "show what runs in a folder", status},
		{"down", "--dir DIR", "end the run in a folder", down},
		{"gc", "", "take away what crashed runs left", gc},
		{"kubeconfig", "--dir DIR --user NAME [--group GROUP]…", "print a kubeconfig for any user of the run's cluster", kubeconfig},
		{"image", "--out TAR --name NAME --entrypoint PATH --file TARGET=SOURCE…", "write a container image that holds just these files", writeImage},
		{"load-image", "--dir DIR TAR…", "give images to the run's node", loadImage},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	err := dispatch(ctx, os.Args[1:])
	stop()
	var status *commandStatus
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		os.Exit(2)
	case errors.As(err, &status):
		os.Exit(status.code)
	default:
		fmt.Fprintf(os.Stderr, "devcluster: %v\n", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 {
		for _, command := range commands() {
			if command.name == args[0] {
				return command.do(ctx, args[1:])
			}
		}
	}
	fmt.Fprintln(os.Stderr, "usage: devcluster COMMAND [flags]")
	for _, command := range commands() {
		fmt.Fprintf(os.Stderr, "  %-11s %s\n              %s\n", command.name, command.arguments, command.summary)
	}
	fmt.Fprintln(os.Stderr, "`devcluster COMMAND --help` lists the flags.")
	return errUsage
}

// list collects a flag that is given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// startFlags are those of the commands that start a run.
type startFlags struct {
	profile, with, dir   string
	keep, fast, follow   bool
	detach               bool
	labels, images, sets list
	nodeWait             time.Duration
}

func (f *startFlags) register(set *flag.FlagSet) {
	set.StringVar(&f.profile, "profile", string(run.ControlPlane), "none, control-plane (API server and controllers) or node (runs pods as well; root)")
	set.StringVar(&f.with, "with", "", "what else to start, separated by commas: postgres, openbao")
	set.StringVar(&f.dir, "dir", "", "the run's folder, new or empty (default: a new one in the folder for temporary files)")
	set.BoolVar(&f.keep, "keep", false, "leave the folder, with its logs, behind")
	set.BoolVar(&f.fast, "pg-fast", false, "PostgreSQL without fsync: for tests, loses data when the machine stops")
	set.Var(&f.sets, "pg-set", "a setting of PostgreSQL, name=value (repeatable)")
	set.BoolVar(&f.follow, "follow-parent", false, "take the run down when the process that started this one is gone")
	set.Var(&f.labels, "label-node", "a label of the node, key=value (repeatable)")
	set.Var(&f.images, "image-tar", "an image to give to the node (repeatable)")
	set.DurationVar(&f.nodeWait, "node-wait", 10*time.Minute, "how long to wait while another run has the machine's one node")
}

func (f *startFlags) options() (run.Options, error) {
	options := run.Options{
		Profile: run.Profile(f.profile), Dir: f.dir, Keep: f.keep, PostgresFast: f.fast, PostgresSettings: f.sets,
		NodeLabels: f.labels, NodeWait: f.nodeWait,
	}
	if !slices.Contains([]run.Profile{run.None, run.ControlPlane, run.Node}, options.Profile) {
		return options, fmt.Errorf("unknown profile %q; there are none, control-plane and node", f.profile)
	}
	for _, name := range strings.FieldsFunc(f.with, func(char rune) bool { return char == ',' }) {
		switch name {
		case "postgres":
			options.Postgres = true
		case "openbao":
			options.OpenBao = true
		default:
			return options, fmt.Errorf("--with %s: there are postgres and openbao", name)
		}
	}
	if options.Profile != run.Node && len(f.labels)+len(f.images) > 0 {
		return options, errors.New("--label-node and --image-tar are for --profile node")
	}
	for _, archive := range f.images {
		path, err := filepath.Abs(archive)
		if err != nil {
			return options, err
		}
		options.ImageTars = append(options.ImageTars, path)
	}
	if options.Dir == "" {
		dir, err := os.MkdirTemp("", "devcluster-")
		if err != nil {
			return options, err
		}
		options.Dir = dir
		// The run makes it again, and so knows that it may remove it.
		return options, os.Remove(dir)
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return options, err
	}
	options.Dir = dir
	return options, os.MkdirAll(filepath.Dir(dir), 0o755)
}

// flags parses a command's flags. What it returns on a wrong one is ready to be returned from the command.
func flags(name string, args []string, register func(*flag.FlagSet)) (rest []string, err error) {
	set := flag.NewFlagSet("devcluster "+name, flag.ContinueOnError)
	register(set)
	if err := set.Parse(args); err != nil {
		return nil, errUsage
	}
	return set.Args(), nil
}

// dirFlag parses the flags of a command that is about an existing run.
func dirFlag(name string, args []string, register func(*flag.FlagSet)) (dir string, rest []string, err error) {
	rest, err = flags(name, args, func(set *flag.FlagSet) {
		set.StringVar(&dir, "dir", "", "the run's folder")
		register(set)
	})
	if err != nil {
		return "", nil, err
	}
	if dir == "" {
		return "", nil, errors.New("--dir is missing: the run's folder")
	}
	dir, err = filepath.Abs(dir)
	return dir, rest, err
}
