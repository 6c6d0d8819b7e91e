package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"tenantra.io/hack/devcluster/internal/envfile"
	"tenantra.io/hack/devcluster/internal/run"
)

// up starts a run and keeps it until it is told to end.
func up(ctx context.Context, args []string) error {
	var wanted startFlags
	rest, err := flags("up", args, func(set *flag.FlagSet) {
		wanted.register(set)
		set.BoolVar(&wanted.detach, "detach", false, "return when the run is ready, and leave it running; `devcluster down` ends it")
	})
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("up takes no %q", rest[0])
	}
	if wanted.detach {
		return detach(ctx, &wanted, args)
	}
	return start(ctx, &wanted, func(ctx context.Context, r *run.Run) error { return r.Wait(ctx) })
}

// commandStatus is how the command of `devcluster run` ended; it becomes the status of this program.
type commandStatus struct{ code int }

func (s *commandStatus) Error() string {
	return fmt.Sprintf("the command ended with status %d", s.code)
}

// runCommand starts a run for the time of one command.
func runCommand(ctx context.Context, args []string) error {
	var wanted startFlags
	rest, err := flags("run", args, wanted.register)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return errors.New("run needs a command behind --")
	}
	return start(ctx, &wanted, func(ctx context.Context, r *run.Run) error {
		ended := make(chan error, 1)
		command := exec.CommandContext(ctx, rest[0], rest[1:]...)
		command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
		command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
		command.WaitDelay = 10 * time.Second
		command.Env = os.Environ()
		for key, value := range r.Env() {
			command.Env = append(command.Env, key+"="+value)
		}
		if err := command.Start(); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			ended <- command.Wait()
			cancel()
		}()
		broken := r.Wait(ctx)
		if broken != nil {
			return errors.Join(broken, command.Cancel(), <-ended)
		}
		err := <-ended
		if command.ProcessState != nil && command.ProcessState.ExitCode() > 0 {
			return &commandStatus{command.ProcessState.ExitCode()}
		}
		return err
	})
}

// start starts a run, uses it, and takes it down whatever happened.
func start(ctx context.Context, wanted *startFlags, use func(context.Context, *run.Run) error) (err error) {
	parent := os.Getppid()
	options, err := wanted.options()
	if err != nil {
		return err
	}
	tools, err := run.FindTools()
	if err != nil {
		return err
	}
	if wanted.follow {
		following, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			defer stop()
			for following.Err() == nil && os.Getppid() == parent {
				time.Sleep(200 * time.Millisecond)
			}
		}()
		ctx = following
	}
	r, err := run.New(ctx, options, tools)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := r.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted while starting")
		}
		return err
	}
	return use(ctx, r)
}

// detach starts `up` again as a process of its own, and waits until that is ready.
func detach(ctx context.Context, wanted *startFlags, args []string) error {
	if wanted.dir == "" {
		return errors.New("--detach needs --dir, to find the run again")
	}
	if wanted.follow {
		return errors.New("--detach and --follow-parent exclude each other")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(wanted.dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	logPath := dir + ".log" // beside the folder, which has to be empty and goes with the run
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	// The last one counts: the process itself stays.
	child := exec.Command(self, append(append([]string{"up"}, args...), "--detach=false")...)
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	shown := int64(0)
	for {
		ready := envfile.Exists(dir)
		shown = show(logPath, shown)
		if ready {
			return nil
		}
		select {
		case err := <-ended:
			show(logPath, shown)
			return fmt.Errorf("the run could not be started (%w)", errors.Join(err, os.Remove(logPath)))
		case <-ctx.Done():
			// The child's own waits are bounded; it takes everything down before it ends.
			return errors.Join(errors.New("interrupted"), child.Process.Signal(syscall.SIGTERM), <-ended)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// show copies what was added to a file to standard error, and returns how far it got.
func show(path string, from int64) int64 {
	text, err := os.ReadFile(path)
	if err != nil || int64(len(text)) <= from {
		return from
	}
	_, _ = os.Stderr.Write(text[from:]) // progress only
	return int64(len(text))
}
