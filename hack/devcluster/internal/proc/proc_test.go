package proc

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"tenantra.io/hack/devcluster/internal/slot"
)

func newSupervisor(t *testing.T) *Supervisor {
	t.Helper()
	supervisor := New(t.TempDir(), t.Logf, func() {})
	t.Cleanup(supervisor.StopAll)
	return supervisor
}

func shell(name, script string) Spec {
	return Spec{Name: name, Path: "/bin/sh", Args: []string{"-c", script}}
}

func TestAProgramThatEndsWhileStartingIsReportedWithItsLog(t *testing.T) {
	process, err := newSupervisor(t).Start(shell("broken", "echo no such flag; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	err = process.WaitUntil(context.Background(), 10*time.Second, func(context.Context) error { return errors.New("closed") })
	if err == nil || !strings.Contains(err.Error(), "no such flag") || !strings.Contains(err.Error(), "exit status 3") {
		t.Fatalf("got %v", err)
	}
}

func TestAWaitIsBoundedAndSaysWhatTheProbeSaw(t *testing.T) {
	process, err := newSupervisor(t).Start(shell("slow", "echo warming up; sleep 60"))
	if err != nil {
		t.Fatal(err)
	}
	err = process.WaitUntil(context.Background(), 200*time.Millisecond, func(context.Context) error { return errors.New("port closed") })
	if err == nil || !strings.Contains(err.Error(), "port closed") || !strings.Contains(err.Error(), "not ready after") {
		t.Fatalf("got %v", err)
	}
}

func TestASettledProgramIsStartedAgainWithANewProcessId(t *testing.T) {
	supervisor := newSupervisor(t)
	process, err := supervisor.Start(shell("service", "sleep 60"))
	if err != nil {
		t.Fatal(err)
	}
	supervisor.Settle()
	first := process.PID()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if now := process.PID(); now != 0 && now != first {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("not started again")
		}
	}
}

func TestStopEndsAProgramThatIgnoresTheRequest(t *testing.T) {
	supervisor := newSupervisor(t)
	process, err := supervisor.Start(shell("stubborn", "trap '' TERM; while :; do sleep 1; done"))
	if err != nil {
		t.Fatal(err)
	}
	pid := process.PID()
	supervisor.StopAll()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Fatalf("process %d still there (%v)", pid, err)
	}
}

func TestRunIsBounded(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := newSupervisor(t).Run(ctx, shell("endless", "sleep 60 & sleep 60")); err == nil {
		t.Fatal("no error")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("took %s", took)
	}
}

func TestAnotherProcessWithTheSameIdIsNotTakenForARecordedOne(t *testing.T) {
	me, err := At(os.Getpid(), "me")
	if err != nil {
		t.Fatal(err)
	}
	if !IsAlive(me) {
		t.Fatal("this process is not seen")
	}
	if IsAlive(slot.Process{PID: me.PID, Started: me.Started + 1}) {
		t.Fatal("a later process is taken for the recorded one")
	}
}
