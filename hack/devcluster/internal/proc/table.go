package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tenantra.io/hack/devcluster/internal/slot"
)

// StartTime is when a process started, in clock ticks since boot (proc(5), field 22 of stat).
func StartTime(pid int) (uint64, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	const startTime = 22 - 3 // fields counts from the third, the state
	if len(fields) <= startTime {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return strconv.ParseUint(fields[startTime], 10, 64)
}

// stat reads the fields of /proc/PID/stat behind the name, which may itself contain blanks and parentheses.
func stat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	_, rest, found := strings.Cut(string(text[bytes.LastIndexByte(text, ')'):]), " ")
	if !found {
		return nil, fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	return strings.Fields(rest), nil
}

// IsAlive says whether a recorded process still runs; a zombie does not.
func IsAlive(process slot.Process) bool {
	fields, err := stat(process.PID)
	if err != nil || len(fields) == 0 || fields[0] == "Z" {
		return false
	}
	started, err := StartTime(process.PID)
	return err == nil && started == process.Started
}

// Kill ends recorded processes and waits, bounded, until they are gone.
func Kill(processes []slot.Process) error {
	var failed error
	for _, process := range processes {
		if !IsAlive(process) {
			continue
		}
		if err := syscall.Kill(process.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			failed = errors.Join(failed, fmt.Errorf("end %s (process %d): %w", process.Name, process.PID, err))
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, process := range processes {
		for IsAlive(process) {
			if time.Now().After(deadline) {
				return errors.Join(failed, fmt.Errorf("%s (process %d) does not end", process.Name, process.PID))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return failed
}

// WithArgument finds the processes that have an argument which starts with a prefix, such as a path in a run's folder.
func WithArgument(prefix string) ([]slot.Process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var found []slot.Process
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended since
		}
		arguments := strings.Split(string(text), "\x00")
		for _, argument := range arguments {
			if !strings.HasPrefix(argument, prefix) {
				continue
			}
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				break
			}
			if process, err := At(pid, filepath.Base(arguments[0])); err == nil {
				found = append(found, process)
			}
			break
		}
	}
	return found, nil
}

// At names a running process.
func At(pid int, name string) (slot.Process, error) {
	started, err := StartTime(pid)
	return slot.Process{Name: name, PID: pid, Started: started}, err
}
