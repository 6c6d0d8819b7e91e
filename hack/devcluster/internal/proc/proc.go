// Package proc starts the programs of a run as children that cannot outlive it: the kernel ends each of them when the
// supervisor dies, however it dies. A program that ends by itself fails the start, or is started again later, as a
// service manager would do.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"tenantra.io/hack/devcluster/internal/slot"
)

const (
	restartDelay  = time.Second
	restartWindow = time.Minute
	maxRestarts   = 5 // in restartWindow, of one program
	stopGrace     = 4 * time.Second
	tailLines     = 15
)

// Spec describes a program.
type Spec struct {
	Name   string
	Path   string
	Args   []string
	Env    []string // added to the supervisor's
	Dir    string
	User   *syscall.Credential // nil: the supervisor's
	Stop   syscall.Signal      // asks it to end; zero is SIGTERM
	Orphan syscall.Signal      // the kernel sends it when the supervisor dies; zero is SIGKILL
}

// Supervisor owns the programs of one run.
type Supervisor struct {
	logs    string
	tell    func(format string, args ...any)
	changed func()

	mu        sync.Mutex
	processes []*Process
	settled   bool // from here on a program that ends is started again
	stopping  bool
	fatal     chan error
}

// Process is one started program.
type Process struct {
	Spec
	supervisor *Supervisor
	leaving    bool // was stopped; under the supervisor's lock

	mu       sync.Mutex
	pid      int
	started  uint64
	ended    chan struct{} // closed when the present incarnation has ended
	status   string        // how it ended
	restarts []time.Time
}

// New makes a supervisor that keeps logs in a folder, reports through tell, and calls changed when a process id is
// another.
func New(logs string, tell func(format string, args ...any), changed func()) *Supervisor {
	return &Supervisor{logs: logs, tell: tell, changed: changed, fatal: make(chan error, 1)}
}

// Fatal receives the error after which the run cannot go on: a program that does not stay up.
func (s *Supervisor) Fatal() <-chan error { return s.fatal }

// Settle ends the phase in which a program that ends is an error of the start.
func (s *Supervisor) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = true
}

// Start starts a program and returns at once.
func (s *Supervisor) Start(spec Spec) (*Process, error) {
	process := &Process{Spec: spec, supervisor: s}
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return nil, fmt.Errorf("%s is not started: the run is ending", spec.Name)
	}
	s.processes = append(s.processes, process)
	s.mu.Unlock()
	if err := process.launch(); err != nil {
		return nil, err
	}
	s.changed()
	return process, nil
}

// Processes lists what runs now.
func (s *Supervisor) Processes() []slot.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	var running []slot.Process
	for _, process := range s.processes {
		process.mu.Lock()
		if process.pid != 0 {
			running = append(running, slot.Process{Name: process.Name, PID: process.pid, Started: process.started})
		}
		process.mu.Unlock()
	}
	return running
}

// Run runs a program to its end and returns what it printed. Its failure carries the end of that.
func (s *Supervisor) Run(ctx context.Context, spec Spec) (string, error) {
	var output bytes.Buffer
	command := spec.command()
	command.Stdout, command.Stderr = &output, &output
	if err := start(command); err != nil {
		return "", fmt.Errorf("start %s: %w", spec.Name, err)
	}
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		// Its group goes too, so that Wait does not wait for a grandchild that holds the output open.
		err = errors.Join(context.Cause(ctx), syscall.Kill(-command.Process.Pid, syscall.SIGKILL))
		<-done
	}
	if err != nil {
		return output.String(), fmt.Errorf("%s: %w\n%s", spec.Name, err, indent(tail(output.String())))
	}
	return output.String(), nil
}

func (s Spec) command() *exec.Cmd {
	command := exec.Command(s.Path, s.Args...)
	command.Dir = s.Dir
	command.Env = append(os.Environ(), s.Env...)
	orphan := s.Orphan
	if orphan == 0 {
		orphan = syscall.SIGKILL
	}
	// A group of its own keeps the terminal's Ctrl-C away: the supervisor ends its programs in order.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphan, Credential: s.User}
	return command
}

func (p *Process) launch() error {
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	command := p.command()
	command.Stdout, command.Stderr = log, log
	if err := start(command); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	ended := make(chan struct{})
	p.mu.Lock()
	p.pid, p.ended = command.Process.Pid, ended
	p.started, _ = StartTime(p.pid) // zero when it has ended already, which the next lines see
	p.mu.Unlock()
	go func() {
		err := command.Wait()
		p.mu.Lock()
		p.pid, p.status = 0, "exit status 0"
		if err != nil {
			p.status = err.Error()
		}
		p.mu.Unlock()
		close(ended)
		p.supervisor.onEnd(p)
	}()
	return nil
}

// onEnd starts a program of a settled run again, or gives the run up.
func (s *Supervisor) onEnd(p *Process) {
	s.mu.Lock()
	restart := s.settled && !s.stopping && !p.leaving
	s.mu.Unlock()
	if !restart {
		return
	}
	if err := p.restart(); err != nil {
		select {
		case s.fatal <- err:
		default: // the first one decides
		}
	}
}

func (p *Process) restart() error {
	p.mu.Lock()
	recent := p.restarts[:0]
	for _, at := range p.restarts {
		if time.Since(at) < restartWindow {
			recent = append(recent, at)
		}
	}
	p.restarts = append(recent, time.Now())
	attempts := len(p.restarts)
	p.mu.Unlock()
	if attempts > maxRestarts {
		return fmt.Errorf("%s ended %d times in a minute:\n%s", p.Name, attempts, p.logTail())
	}
	p.supervisor.tell("%s ended (%s); starting it again", p.Name, p.status)
	time.Sleep(restartDelay)

	p.supervisor.mu.Lock()
	defer p.supervisor.mu.Unlock()
	if p.supervisor.stopping || p.leaving {
		return nil
	}
	if err := p.launch(); err != nil {
		return err
	}
	go p.supervisor.changed() // takes the lock that is held here
	return nil
}

// PID is the process id, zero while it is down.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// WaitUntil asks the probe until it returns nil. It fails when the limit is over or the program has ended, with the
// last answer of the probe and the end of the program's log.
func (p *Process) WaitUntil(ctx context.Context, limit time.Duration, probe func(context.Context) error) error {
	const askEvery = 50 * time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not ready after %s", limit))
	defer cancel()
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	for {
		answer := probe(ctx)
		if answer == nil {
			return nil
		}
		select {
		case <-ended:
			p.mu.Lock()
			status := p.status
			p.mu.Unlock()
			return fmt.Errorf("%s ended (%s); the end of %s:\n%s", p.Name, status, p.logPath(), p.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (%w); the end of %s:\n%s", p.Name, context.Cause(ctx), answer, p.logPath(), p.logTail())
		case <-time.After(askEvery):
		}
	}
}

// Stop ends one program for good, before the others.
func (p *Process) Stop() {
	p.supervisor.mu.Lock()
	p.leaving = true
	p.supervisor.mu.Unlock()
	p.end()
}

// StopAll ends every program, the last started first asked, all of them within one grace period.
func (s *Supervisor) StopAll() {
	s.mu.Lock()
	s.stopping = true
	processes := s.processes
	s.mu.Unlock()
	var group sync.WaitGroup
	for at := len(processes) - 1; at >= 0; at-- {
		group.Go(processes[at].end)
	}
	group.Wait()
}

// end asks a program to end, then makes it.
func (p *Process) end() {
	p.mu.Lock()
	pid, ended := p.pid, p.ended
	p.mu.Unlock()
	if pid == 0 {
		return
	}
	signal := p.Spec.Stop
	if signal == 0 {
		signal = syscall.SIGTERM
	}
	// The process is not reaped before `ended` closes, so that the id is still its own.
	_ = syscall.Kill(pid, signal)
	_ = syscall.Kill(pid, syscall.SIGCONT) // a program that a test has stopped hears nothing
	select {
	case <-ended:
		return
	case <-time.After(stopGrace):
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	<-ended
}

func (p *Process) logPath() string { return filepath.Join(p.supervisor.logs, p.Name+".log") }

func (p *Process) logTail() string {
	text, err := os.ReadFile(p.logPath())
	if err != nil {
		return indent(err.Error())
	}
	return indent(tail(string(text)))
}

func tail(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

func indent(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }
