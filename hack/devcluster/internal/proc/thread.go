package proc

import (
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starter hands work to the one thread that starts programs. The kernel sends the parent's death signal when the
// thread that forked ends, and Go ends threads as it likes; this one is kept.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for do := range work {
			do()
		}
	}()
	return work
})

// Within runs a function where programs are started: it sees the mounts that they see.
func Within(do func() error) error {
	result := make(chan error, 1)
	starter() <- func() { result <- do() }
	return <-result
}

func start(command *exec.Cmd) error { return Within(command.Start) }

// SeparateMounts gives the programs started from here on a mount namespace of their own: what they mount is nobody
// else's, and ends with the last of them even after a crash. In it everything is shared, which containerd asks of
// whatever a pod mounts with propagation; a machine without systemd has nothing shared.
func SeparateMounts() error {
	return Within(func() error {
		if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		// First cut off the way out of the namespace, then open the ways inside it.
		for _, propagation := range []uintptr{syscall.MS_SLAVE, syscall.MS_SHARED} {
			if err := syscall.Mount("none", "/", "", syscall.MS_REC|propagation, ""); err != nil {
				return fmt.Errorf("set the propagation of mounts: %w", err)
			}
		}
		return nil
	})
}
