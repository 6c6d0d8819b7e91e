package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"tenantra.io/hack/devcluster/internal/envfile"
	"tenantra.io/hack/devcluster/internal/image"
	"tenantra.io/hack/devcluster/internal/kube"
	"tenantra.io/hack/devcluster/internal/pki"
	"tenantra.io/hack/devcluster/internal/proc"
	"tenantra.io/hack/devcluster/internal/run"
	"tenantra.io/hack/devcluster/internal/slot"
)

func noFlags(*flag.FlagSet) {}

// wait returns when the run in a folder is ready. A run that is not even recorded yet may be on its way.
func wait(ctx context.Context, args []string) error {
	limit := 3 * time.Minute
	dir, _, err := dirFlag("wait", args, func(set *flag.FlagSet) { set.DurationVar(&limit, "timeout", limit, "how long to wait") })
	if err != nil {
		return err
	}
	folder, err := slot.Folder()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the run in %s is not ready after %s", dir, limit))
	defer cancel()
	seen := false
	for !envfile.Exists(dir) {
		record, err := slot.Find(folder, dir)
		if err != nil {
			return err
		}
		if seen && record == nil {
			return fmt.Errorf("the run in %s ended before it was ready", dir)
		}
		seen = seen || record != nil
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

func find(dir string) (folder string, record *slot.Record, err error) {
	folder, err = slot.Folder()
	if err != nil {
		return "", nil, err
	}
	record, err = slot.Find(folder, dir)
	return folder, record, err
}

// status prints what runs, and fails when the run is not whole.
func status(_ context.Context, args []string) error {
	dir, _, err := dirFlag("status", args, noFlags)
	if err != nil {
		return err
	}
	_, record, err := find(dir)
	if err != nil {
		return err
	}
	if record == nil {
		return fmt.Errorf("nothing runs in %s", dir)
	}
	state, broken := "ready", false
	if !envfile.Exists(dir) {
		state, broken = "starting or ending", true
	}
	fmt.Printf("number %d, profile %s, supervisor %d, since %s: %s\n", record.Number, record.Profile, record.Supervisor, record.Started.Format(time.TimeOnly), state)
	for _, process := range record.Processes {
		state := "running"
		if !proc.IsAlive(process) {
			state, broken = "gone", true
		}
		fmt.Printf("  %-24s %8d  %s\n", process.Name, process.PID, state)
	}
	if broken {
		return &commandStatus{1}
	}
	return nil
}

// down ends a run, by its supervisor if that is alive.
func down(ctx context.Context, args []string) error {
	limit := time.Minute
	dir, _, err := dirFlag("down", args, func(set *flag.FlagSet) { set.DurationVar(&limit, "timeout", limit, "how long to wait for the end") })
	if err != nil {
		return err
	}
	folder, record, err := find(dir)
	if err != nil {
		return err
	}
	if record == nil {
		fmt.Fprintf(os.Stderr, "nothing runs in %s\n", dir)
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the run in %s has not ended after %s", dir, limit))
	defer cancel()
	// The lock tells whether the supervisor is alive. While it is held, the recorded process id is the holder's.
	if dead, err := slot.Seize(folder, *record); err != nil {
		return err
	} else if dead != nil {
		dead.Leave()
	} else if err := syscall.Kill(record.Supervisor, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	for {
		now, err := slot.Find(folder, dir)
		if err != nil {
			return err
		}
		if now == nil || now.Supervisor != record.Supervisor {
			break
		}
		if err := run.Collect(folder, nil, tell); err != nil { // when it has crashed, or crashes on the way
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	err = os.Remove(dir + ".log") // of a detached run
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return err
}

func gc(_ context.Context, args []string) error {
	if _, err := flags("gc", args, noFlags); err != nil {
		return err
	}
	folder, err := slot.Folder()
	if err != nil {
		return err
	}
	return run.Collect(folder, nil, tell)
}

func tell(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// kubeconfig makes a client certificate for whoever a test wants to be.
func kubeconfig(_ context.Context, args []string) error {
	var user, out string
	var groups list
	dir, _, err := dirFlag("kubeconfig", args, func(set *flag.FlagSet) {
		set.StringVar(&user, "user", "", "the user's name")
		set.Var(&groups, "group", "a group of the user (repeatable)")
		set.StringVar(&out, "out", "", "the file to write (default: standard output)")
	})
	if err != nil {
		return err
	}
	if user == "" {
		return errors.New("--user is missing: the name that the API server is to see")
	}
	values, err := envfile.Read(dir)
	if err != nil || values["TENA_DEV_API_URL"] == "" {
		return errors.Join(fmt.Errorf("no cluster is ready in %s", dir), err)
	}
	authority, err := pki.Load(filepath.Join(dir, run.AuthorityCertificate), filepath.Join(dir, run.AuthorityKey))
	if err != nil {
		return err
	}
	pair, err := authority.Issue(pki.Subject{User: user, Groups: groups})
	if err != nil {
		return err
	}
	text := kube.Kubeconfig(values["TENA_DEV_API_URL"], user, authority.PEM, pair)
	if out == "" {
		_, err = os.Stdout.Write(text)
		return err
	}
	return os.WriteFile(out, text, 0o600)
}

func writeImage(_ context.Context, args []string) error {
	var wanted image.Image
	var out string
	var entrypoint, command, files, env list
	_, err := flags("image", args, func(set *flag.FlagSet) {
		set.StringVar(&out, "out", "", "the archive to write")
		set.StringVar(&wanted.Name, "name", "", "the image's name, with a tag")
		set.StringVar(&wanted.User, "user", "", "uid:gid that it runs as (default: root)")
		set.Var(&entrypoint, "entrypoint", "the program, then its fixed arguments (repeatable)")
		set.Var(&command, "cmd", "an argument that a pod may replace (repeatable)")
		set.Var(&files, "file", "path in the image=path here, of a file or a folder (repeatable)")
		set.Var(&env, "env", "an environment variable, name=value (repeatable)")
	})
	if err != nil {
		return err
	}
	if out == "" || wanted.Name == "" || len(files) == 0 {
		return errors.New("image needs --out, --name and at least one --file")
	}
	wanted.Entrypoint, wanted.Command, wanted.Env, wanted.Files = entrypoint, command, env, map[string]string{}
	for _, file := range files {
		target, source, found := strings.Cut(file, "=")
		if !found {
			return fmt.Errorf("--file %s: write path in the image=path here", file)
		}
		wanted.Files[target] = source
	}
	return image.Write(out, wanted)
}

func loadImage(ctx context.Context, args []string) error {
	dir, archives, err := dirFlag("load-image", args, noFlags)
	if err != nil {
		return err
	}
	values, err := envfile.Read(dir)
	if err != nil || values["TENA_DEV_CTR"] == "" {
		return errors.Join(fmt.Errorf("no node is ready in %s", dir), err)
	}
	if len(archives) == 0 {
		return errors.New("load-image needs an archive")
	}
	for _, archive := range archives {
		command := exec.CommandContext(ctx, values["TENA_DEV_CTR"], "images", "import", archive)
		command.Stdout, command.Stderr = os.Stderr, os.Stderr
		if err := command.Run(); err != nil {
			return fmt.Errorf("import %s: %w", archive, err)
		}
	}
	return nil
}
