package run

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tenantra.io/hack/devcluster/internal/proc"
	"tenantra.io/hack/devcluster/internal/slot"
)

// endContainers ends every container of a run with its shim. Shims outlive containerd by design, and are known by the
// socket of the containerd that started them.
func endContainers(dir string) error {
	var containers []slot.Process
	bundles, err := filepath.Glob(filepath.Join(dir, "containerd/state/io.containerd.runtime.v2.task/*/*"))
	if err != nil {
		return err
	}
	var failed error
	for _, bundle := range bundles {
		if address, err := os.ReadFile(filepath.Join(bundle, "address")); err == nil {
			socket := strings.TrimPrefix(strings.TrimSpace(string(address)), "unix://")
			defer os.Remove(socket) // the shim does it itself, unless it is killed
		}
		text, err := os.ReadFile(filepath.Join(bundle, "init.pid"))
		if err != nil {
			continue // it never started, or is gone
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || !isOfContainer(pid, filepath.Base(bundle)) {
			continue
		}
		if process, err := proc.At(pid, "container"); err == nil {
			containers = append(containers, process)
		}
	}
	shims, err := proc.WithArgument(filepath.Join(dir, "containerd.sock"))
	// The shims first: they would report, and clean up after, a container's end.
	failed = errors.Join(failed, err, proc.Kill(shims), proc.Kill(containers))
	return failed
}

// isOfContainer asks the kernel whether a process belongs to a container: its control groups carry the container's id.
func isOfContainer(pid int, container string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return err == nil && strings.Contains(string(text), container)
}

// takeNodeAway removes what a node leaves: containers, mounts, interfaces, tables, control groups.
func takeNodeAway(record slot.Record) error {
	failed := endContainers(record.Dir)
	failed = errors.Join(failed, unmountBelow(record.Dir)) // the pods' network namespaces end with their mounts
	failed = errors.Join(failed, awaitInterfaces(fmt.Sprintf("10.88.%d.1", record.Number)))
	nft, err := Tools{}.packaged("nft", "nftables")
	if err != nil {
		return errors.Join(failed, err)
	}
	for _, family := range []string{"ip", "ip6"} {
		output, err := exec.Command(nft, "delete", "table", family, "kube-proxy").CombinedOutput()
		if err != nil && !strings.Contains(string(output), "No such file or directory") {
			failed = errors.Join(failed, fmt.Errorf("nft delete table %s kube-proxy: %w: %s", family, err, output))
		}
	}
	failed = errors.Join(failed, removeControlGroups())
	failed = errors.Join(failed, os.RemoveAll(fmt.Sprintf("/var/lib/cni/results/tenantra-%d", record.Number)))
	for _, folder := range []string{"/run/containerd/s", "/run/containerd"} { // where shims put their sockets
		_ = os.Remove(folder) // stays when it has something in it, which is somebody else's
	}
	return errors.Join(failed, removeLogLinks(record.Dir))
}

// awaitInterfaces waits for the pods' interfaces, each of which has the gateway's address, to go with their namespaces.
func awaitInterfaces(gateway string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		left, err := interfacesWith(gateway)
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("interfaces of pods are left: %s", strings.Join(left, " "))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func interfacesWith(address string) ([]string, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, one := range interfaces {
		addresses, err := one.Addrs()
		if err != nil {
			continue // gone since
		}
		for _, has := range addresses {
			if strings.HasPrefix(has.String(), address+"/") {
				names = append(names, one.Name)
			}
		}
	}
	return names, nil
}

// removeControlGroups removes the kubelet's tree, from the leaves. A group whose last process has just ended is busy
// for a moment.
func removeControlGroups() error {
	trees, err := filepath.Glob("/sys/fs/cgroup/*/kubepods") // version 1: one tree for each controller
	if err != nil {
		return err
	}
	trees = append(trees, "/sys/fs/cgroup/kubepods")
	var failed error
	for _, tree := range trees {
		var groups []string
		err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			return nil // gone since, or never there
		})
		failed = errors.Join(failed, err)
		for at := len(groups) - 1; at >= 0; at-- {
			failed = errors.Join(failed, removeControlGroup(groups[at]))
		}
	}
	return failed
}

func removeControlGroup(path string) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Rmdir(path)
		if err == nil || errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("remove control group %s: %w", path, err)
		}
	}
}

// removeLogLinks removes the links to the pods' logs, which the kubelet makes in one folder for all.
func removeLogLinks(dir string) error {
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return err
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir+"/") {
			err = os.Remove(link)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
