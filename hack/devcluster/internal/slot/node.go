package slot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// NodeLock is the right to run a node on this machine. There is one, because kube-proxy owns one nftables table for a
// network namespace and the kubelet one tree of control groups.
type NodeLock struct{ file *os.File }

// TryNode takes the lock, or returns nil and who holds it.
func TryNode(folder, holder string) (lock *NodeLock, heldBy string, err error) {
	path := filepath.Join(folder, "node.lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, "", err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		text, readErr := os.ReadFile(path)
		return nil, strings.TrimSpace(string(text)), errors.Join(readErr, file.Close())
	}
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		_, err = file.WriteAt([]byte(holder+"\n"), 0)
	}
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return &NodeLock{file}, "", nil
}

// TakeNode waits for the lock, at most as long as the context lives, and tells who holds it now and then.
func TakeNode(ctx context.Context, folder, holder string, tell func(heldBy string)) (*NodeLock, error) {
	const askEvery, tellEvery = 250 * time.Millisecond, 15 * time.Second
	told := time.Time{}
	for {
		lock, heldBy, err := TryNode(folder, holder)
		if lock != nil || err != nil {
			return lock, err
		}
		if time.Since(told) > tellEvery {
			tell(heldBy)
			told = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the node of this machine is still in use by %s (%w); end that run, or wait longer with --node-wait", heldBy, context.Cause(ctx))
		case <-time.After(askEvery):
		}
	}
}

// Release lets the next run have the node; closing the file is what releases it.
func (l *NodeLock) Release() { _ = l.file.Close() }
