// Package slot gives each run on this machine a number of its own, and with it its addresses and ports. A number is
// owned through a lock on a file, which the kernel drops with its holder: a crashed run can be told from a live one
// without trusting process ids. What the run put on the machine stands in a record beside the lock, so that another
// process can take it away.
package slot

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	// Count is how many runs fit on a machine at once; the ports of all of them stay below 30000, where node ports
	// and (from 32768) the kernel's own choice of ports begin.
	Count        = 160
	firstPort    = 19000
	portsPerSlot = 64
)

// Process is one that a run started. The start time (in clock ticks since boot) tells it from a later process that
// got the same id.
type Process struct {
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	Started uint64 `json:"started"`
}

// Record is everything a run leaves on the machine outside of its own memory.
type Record struct {
	Number     int               `json:"number"`
	Dir        string            `json:"dir"`
	Profile    string            `json:"profile"`
	Keep       bool              `json:"keep"`
	Supervisor int               `json:"supervisor"`
	Started    time.Time         `json:"started"`
	Processes  []Process         `json:"processes"`
	Scratch    []string          `json:"scratch,omitempty"` // folders outside of Dir
	Address    string            `json:"address,omitempty"` // added to the loopback interface
	Sysctls    map[string]string `json:"sysctls,omitempty"` // values to give back
	Removes    bool              `json:"removes"`           // Dir was made by the run and goes with it
}

// Slot is a number that this process owns until Release.
type Slot struct {
	Number int
	folder string
	lock   *os.File
	next   int
}

// ErrAllTaken says that no number is free.
var ErrAllTaken = fmt.Errorf("all %d development clusters of this machine are in use; `devcluster gc` frees those that crashed", Count)

// Folder is where the locks of this user's runs are: /run/tenantra for root, else below XDG_RUNTIME_DIR.
func Folder() (string, error) {
	folder := "/run/tenantra"
	if os.Geteuid() != 0 {
		base := os.Getenv("XDG_RUNTIME_DIR")
		if base == "" {
			base = filepath.Join(os.TempDir(), "runtime-"+strconv.Itoa(os.Geteuid()))
		}
		folder = filepath.Join(base, "tenantra")
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	// The folder for temporary files is everybody's: somebody else may have made this one to mislead.
	info, err := os.Lstat(folder)
	if err != nil {
		return "", err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() || !info.IsDir() {
		return "", fmt.Errorf("%s is not a folder of yours; remove it, or set XDG_RUNTIME_DIR", folder)
	}
	return folder, nil
}

// Take locks the lowest free number. A number whose record is still there belongs to a crashed run that nobody has
// cleaned up yet, and is passed over.
func Take(folder string) (*Slot, error) {
	for number := range Count {
		slot, err := lock(folder, number)
		if err != nil {
			return nil, err
		}
		if slot == nil {
			continue
		}
		if _, err := os.Stat(slot.recordPath()); err == nil {
			slot.unlock()
			continue
		}
		return slot, nil
	}
	return nil, ErrAllTaken
}

// lock takes one number, or returns nil when somebody else holds it.
func lock(folder string, number int) (*Slot, error) {
	file, err := os.OpenFile(filepath.Join(folder, fmt.Sprintf("%d.lock", number)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, file.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
	}
	return &Slot{Number: number, folder: folder, lock: file}, nil
}

// Address is the run's own address on this machine, which its pods reach too.
func (s *Slot) Address() string { return fmt.Sprintf("10.89.%d.1", s.Number) }

// PodNetwork is where the run's pods get their addresses.
func (s *Slot) PodNetwork() string { return fmt.Sprintf("10.88.%d.0/24", s.Number) }

// ServiceNetwork is where the run's services get theirs.
func (s *Slot) ServiceNetwork() string { return fmt.Sprintf("10.96.%d.0/24", s.Number) }

// ServiceAddress is the address of a well-known service: 1 is the API server, 10 is DNS.
func (s *Slot) ServiceAddress(host int) string { return fmt.Sprintf("10.96.%d.%d", s.Number, host) }

// Port returns the next port of the slot's range on which nobody listens. No two runs share a range, so that a port
// stays free between this call and the start of the program that listens on it.
func (s *Slot) Port() (int, error) {
	for s.next < portsPerSlot {
		port := firstPort + s.Number*portsPerSlot + s.next
		s.next++
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		return port, listener.Close()
	}
	return 0, fmt.Errorf("no free port in %d–%d", firstPort+s.Number*portsPerSlot, firstPort+(s.Number+1)*portsPerSlot-1)
}

// Save writes the record, replacing the one before it in one step.
func (s *Slot) Save(record Record) error {
	text, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	next := s.recordPath() + ".next"
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.recordPath())
}

// Release forgets the record and gives the number back.
func (s *Slot) Release() error {
	err := os.Remove(s.recordPath())
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	s.unlock()
	return err
}

// Leave gives up the lock but leaves the record, for somebody who can do what this process could not.
func (s *Slot) Leave() { s.unlock() }

// unlock lets go of the lock; closing is what releases it, and a lock that was held has nothing to flush.
func (s *Slot) unlock() { _ = s.lock.Close() }

func (s *Slot) recordPath() string { return recordPath(s.folder, s.Number) }

func recordPath(folder string, number int) string {
	return filepath.Join(folder, fmt.Sprintf("%d.json", number))
}
