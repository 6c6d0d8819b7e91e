package run

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"tenantra.io/hack/devcluster/internal/proc"
	"tenantra.io/hack/devcluster/internal/slot"
)

// Collect takes away what crashed runs left. Those with a node are left alone unless this process has, or gets, the
// machine's node: their tables and control groups have the same names as those of a run that may be alive.
func Collect(folder string, node *slot.NodeLock, tell func(string, ...any)) error {
	records, err := slot.Records(folder)
	if err != nil {
		return err
	}
	var failed error
	for _, record := range records {
		if record.Profile == string(Node) && node == nil {
			// Before the run itself: one that starts a node does it in this order too.
			lock, _, err := slot.TryNode(folder, fmt.Sprintf("process %d, which cleans up after a crash", os.Getpid()))
			if lock == nil {
				failed = errors.Join(failed, err)
				continue // it is alive, or whoever has the node cleans up
			}
			defer lock.Release()
			node = lock
		}
		crashed, err := slot.Seize(folder, record)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if crashed == nil {
			continue // it is alive
		}
		tell("taking away what a crashed run left in %s", record.Dir)
		if err := takeAway(record); err != nil {
			failed = errors.Join(failed, err)
			crashed.Leave()
			continue
		}
		failed = errors.Join(failed, crashed.Release())
	}
	return failed
}

// takeAway removes everything that a record speaks of. Nothing in it is an error when it is gone already.
func takeAway(record slot.Record) error {
	failed := proc.Kill(record.Processes)
	if record.Profile == string(Node) {
		failed = errors.Join(failed, takeNodeAway(record))
	}
	if record.Address != "" {
		failed = errors.Join(failed, removeAddress(record.Address))
	}
	for name, value := range record.Sysctls {
		failed = errors.Join(failed, os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0))
	}
	// A folder under which something is still mounted is not emptied: that would empty what is mounted.
	if err := unmountBelow(record.Dir); err != nil {
		return errors.Join(failed, err)
	}
	for _, path := range record.Scratch {
		failed = errors.Join(failed, os.RemoveAll(path))
	}
	if record.Keep {
		return failed
	}
	return errors.Join(failed, empty(record.Dir, record.Removes))
}

// empty removes a run's folder, or, when it was there before the run, what is in it.
func empty(dir string, whole bool) error {
	if whole {
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
	return err
}

func removeAddress(address string) error {
	ip, err := Tools{}.packaged("ip", "iproute2")
	if err != nil {
		return err
	}
	output, err := exec.Command(ip, "addr", "del", address+"/32", "dev", "lo").CombinedOutput()
	if err != nil && !strings.Contains(string(output), "Cannot assign requested address") { // it is not there
		return fmt.Errorf("ip addr del %s: %w: %s", address, err, output)
	}
	return nil
}

// unmountBelow unmounts everything in a folder, where the run's programs see it: in this process those of a live run,
// while those of a crashed one are gone with its last process.
func unmountBelow(dir string) error {
	return proc.Within(func() error { return unmountHere(dir) })
}

// unmountHere unmounts in the mount namespace of this thread, the innermost first.
func unmountHere(dir string) error {
	points, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, point := range points {
		if err := syscall.Unmount(point, syscall.MNT_DETACH|umountNoFollow); err != nil && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	left, err := mountsBelow(dir)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("still mounted: %s", strings.Join(left, " "))
	}
	return err
}

const umountNoFollow = 8 // UMOUNT_NOFOLLOW of umount2(2), which package syscall lacks

// mountsBelow lists the mount points in a folder, the latest first.
func mountsBelow(dir string) ([]string, error) {
	file, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		const mountPoint = 4 // proc(5)
		if fields := strings.Fields(lines.Text()); len(fields) > mountPoint {
			if point := unescape.Replace(fields[mountPoint]); strings.HasPrefix(point, dir+"/") {
				points = append(points, point)
			}
		}
	}
	slices.Reverse(points)
	return points, lines.Err()
}
