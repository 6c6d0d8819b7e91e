// Package run is one run of the development cluster: what it starts, in which order, and how all of it is taken away
// again. Everything that can start side by side does; what depends on something else waits for that alone.
package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"tenantra.io/hack/devcluster/internal/envfile"
	"tenantra.io/hack/devcluster/internal/proc"
	"tenantra.io/hack/devcluster/internal/slot"
)

// Profile says how much of Kubernetes a run has.
type Profile string

// The profiles: nothing, an API server with its controllers, or a node that runs pods as well.
const (
	None         Profile = "none"
	ControlPlane Profile = "control-plane"
	Node         Profile = "node"
)

// startLimit bounds each single wait. A start takes seconds; a machine that compiles at the same time takes longer.
const startLimit = 2 * time.Minute

// Options is what the user asked for.
type Options struct {
	Profile          Profile
	Postgres         bool
	PostgresFast     bool     // trades the safety of the data for speed
	PostgresSettings []string // name=value
	OpenBao          bool
	Dir              string // absolute
	Keep             bool
	NodeLabels       []string
	ImageTars        []string
	NodeWait         time.Duration
}

// Run is a started, or starting, development cluster.
type Run struct {
	Options
	tools      Tools
	slot       *slot.Slot
	node       *slot.NodeLock
	supervisor *proc.Supervisor
	began      time.Time
	host       string // the address on which pods and this machine reach what the run serves

	mu     sync.Mutex
	record slot.Record
	env    map[string]func() string // asked anew whenever the file is written: process ids change
	ready  bool

	apiReady chan struct{} // closed when the API server answers
	cluster  *controlPlane // set before apiReady closes
	kubelet  *proc.Process
}

// New takes a number and a folder for a run. Close must follow, whatever happens.
func New(ctx context.Context, options Options, tools Tools) (run *Run, err error) {
	r := &Run{Options: options, tools: tools, began: time.Now(), env: map[string]func() string{}, apiReady: make(chan struct{})}
	folder, err := slot.Folder()
	if err != nil {
		return nil, err
	}
	if options.Profile == Node {
		if err := checkNode(options.Dir); err != nil {
			return nil, err
		}
		wait, cancel := context.WithTimeoutCause(ctx, options.NodeWait, fmt.Errorf("waited %s", options.NodeWait))
		defer cancel()
		holder := fmt.Sprintf("process %d in %s", os.Getpid(), options.Dir)
		r.node, err = slot.TakeNode(wait, folder, holder, func(heldBy string) {
			r.Tell("waiting up to %s for the node of this machine, which has %s", options.NodeWait, heldBy)
		})
		if err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				r.node.Release()
			}
		}()
	}
	if err := Collect(folder, r.node, r.Tell); err != nil {
		r.Tell("what a crashed run left could not all be taken away: %v", err)
	}
	made, err := makeFolder(options.Dir)
	if err != nil {
		return nil, err
	}
	if r.slot, err = slot.Take(folder); err != nil {
		return nil, err
	}
	r.record = slot.Record{
		Number: r.slot.Number, Dir: options.Dir, Profile: string(options.Profile), Keep: options.Keep, Removes: made,
		Supervisor: os.Getpid(), Started: r.began,
	}
	r.supervisor = proc.New(r.path("log"), r.Tell, r.processesChanged)
	if err := r.amend(func(*slot.Record) {}); err != nil {
		return nil, errors.Join(err, r.slot.Release())
	}
	return r, nil
}

// makeFolder makes a run's folder, or takes an empty one. A folder with something in it is somebody's.
func makeFolder(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		made = true
	case err != nil:
		return false, err
	case len(entries) > 0:
		return false, fmt.Errorf("%s is not empty; `devcluster down --dir %s` ends a run that is in it", dir, dir)
	}
	for _, sub := range []string{"", "log", "bin", "pki"} {
		// Others may pass through: PostgreSQL runs as a user of its own. What is secret inside is readable by its owner only.
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o711); err != nil {
			return false, err
		}
	}
	return made, nil
}

// Start starts everything and returns when all of it is ready.
func (r *Run) Start(ctx context.Context) error {
	r.Tell("number %d in %s: profile %s", r.slot.Number, r.Dir, r.Profile)
	r.set("TENA_DEV_DIR", r.Dir)
	if err := r.takeAddress(ctx); err != nil {
		return err
	}
	r.set("TENA_DEV_HOST_IP", r.host)

	if r.Profile == Node {
		// Before the first program: they all are to see the same mounts.
		if err := errors.Join(r.recordMachine(), proc.SeparateMounts()); err != nil {
			return err
		}
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	begin := func(part func(context.Context) error) {
		group.Go(func() {
			if err := part(ctx); err != nil {
				cancel(err) // the first one decides, the others are told to stop
			}
		})
	}
	if r.Profile != None {
		begin(r.startControlPlane)
	}
	if r.Profile == Node {
		begin(r.startNode)
	}
	if r.Postgres {
		begin(r.startPostgres)
	}
	if r.OpenBao {
		begin(r.startOpenBao)
	}
	group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.supervisor.Settle()
	r.mu.Lock()
	r.ready = true
	r.mu.Unlock()
	if err := r.writeEnv(); err != nil {
		return err
	}
	r.Tell("ready: %s", r.path("env"))
	return nil
}

// Wait returns when the context ends (nil) or when the run cannot go on.
func (r *Run) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-r.supervisor.Fatal():
		return err
	}
}

// Close ends everything the run started and takes away everything it left.
func (r *Run) Close() error {
	r.Tell("taking everything down")
	envfile.Remove(r.Dir)
	if r.kubelet != nil {
		r.kubelet.Stop() // first, or it starts the containers again
	}
	if r.Profile == Node {
		if err := endContainers(r.Dir); err != nil {
			r.Tell("%v", err)
		}
	}
	r.supervisor.StopAll()
	r.mu.Lock()
	record := r.record
	record.Processes = nil
	r.mu.Unlock()
	err := errors.Join(takeAway(record), r.slot.Release())
	if r.node != nil {
		r.node.Release()
	}
	if err == nil {
		r.Tell("nothing is left")
	}
	return err
}

// Env is the environment for a program that uses the run.
func (r *Run) Env() map[string]string {
	r.mu.Lock()
	sources := maps.Clone(r.env)
	r.mu.Unlock()
	values := make(map[string]string, len(sources))
	for key, value := range sources {
		values[key] = value()
	}
	return values
}

// Tell prints a line of progress.
func (r *Run) Tell(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[%5.1fs] %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

func (r *Run) path(parts ...string) string {
	return filepath.Join(append([]string{r.Dir}, parts...)...)
}

func (r *Run) set(key, value string) { r.compute(key, func() string { return value }) }

func (r *Run) compute(key string, value func() string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.env[key] = value
}

func (r *Run) writeEnv() error { return envfile.Write(r.Dir, r.Env()) }

// amend changes the record and saves it, before the change to the machine that it speaks of.
func (r *Run) amend(change func(*slot.Record)) error {
	processes := r.supervisor.Processes()
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.record)
	r.record.Processes = processes
	return r.slot.Save(r.record)
}

func (r *Run) processesChanged() {
	if err := r.amend(func(*slot.Record) {}); err != nil {
		r.Tell("the record of this run could not be saved: %v", err)
	}
	r.mu.Lock()
	ready := r.ready
	r.mu.Unlock()
	if !ready {
		return
	}
	if err := r.writeEnv(); err != nil {
		r.Tell("%s could not be written: %v", r.path("env"), err)
	}
}

// takeAddress gives the run an address that pods and this machine reach alike. It goes on the loopback interface, as
// the API server refuses to advertise 127.0.0.1; a user who may not do that advertises the machine's own address.
func (r *Run) takeAddress(ctx context.Context) error {
	r.host = "127.0.0.1"
	if r.Profile == None || os.Geteuid() != 0 {
		return nil
	}
	ip, err := r.tools.packaged("ip", "iproute2")
	if err != nil {
		return err
	}
	r.host = r.slot.Address()
	if err := r.amend(func(record *slot.Record) { record.Address = r.host }); err != nil {
		return err
	}
	_, err = r.supervisor.Run(ctx, proc.Spec{Name: "ip addr add", Path: ip, Args: []string{"addr", "replace", r.host + "/32", "dev", "lo"}})
	return err
}

// advertised is the address under which the API server announces itself.
func (r *Run) advertised() (string, error) {
	if r.host != "127.0.0.1" {
		return r.host, nil
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String(), nil
		}
	}
	return "", errors.New("this machine has no address but 127.0.0.1, which the API server refuses to advertise; run as root")
}

// ports takes a number of free ports of the run's range.
func (r *Run) ports(into ...*int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, port := range into {
		free, err := r.slot.Port()
		if err != nil {
			return err
		}
		*port = free
	}
	return nil
}

// script writes an executable shell script into the run's bin folder.
func (r *Run) script(name, text string) (string, error) {
	path := r.path("bin", name)
	return path, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755)
}
