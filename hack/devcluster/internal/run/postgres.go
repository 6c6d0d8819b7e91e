package run

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"tenantra.io/hack/devcluster/internal/proc"
	"tenantra.io/hack/devcluster/internal/slot"
)

func (r *Run) startPostgres(ctx context.Context) error {
	bin, err := postgresFolder()
	if err != nil {
		return err
	}
	account, err := postgresAccount()
	if err != nil {
		return err
	}
	folder, err := r.postgresFolder(account)
	if err != nil {
		return err
	}
	password, err := secret()
	if err != nil {
		return err
	}
	data, passwordFile := filepath.Join(folder, "data"), filepath.Join(folder, "password")
	if err := writeFor(account, passwordFile, password); err != nil {
		return err
	}
	_, err = r.supervisor.Run(ctx, proc.Spec{Name: "initdb", Path: filepath.Join(bin, "initdb"), Dir: folder, User: account, Args: []string{
		"-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", passwordFile,
		"-E", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions",
	}})
	if err := errors.Join(err, os.Remove(passwordFile)); err != nil {
		return err
	}
	var port int
	if err := r.ports(&port); err != nil {
		return err
	}
	if err := allowLogins(filepath.Join(data, "pg_hba.conf"), r.host, r.slot.PodNetwork()); err != nil {
		return err
	}
	postgres, err := r.supervisor.Start(proc.Spec{
		Name: "postgres", Path: filepath.Join(bin, "postgres"), Dir: folder, User: account, Args: r.postgresArgs(data, port),
		// Without a supervisor: at once, but taking its shared memory and its children along. With one: without waiting for clients.
		Orphan: syscall.SIGQUIT, Stop: syscall.SIGINT,
	})
	if err != nil {
		return err
	}
	if err := postgres.WaitUntil(ctx, startLimit, func(context.Context) error { return postmasterIsReady(data) }); err != nil {
		return err
	}
	r.set("TENA_DEV_PG_URL", fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres", password, port))
	r.set("TENA_DEV_PG_HOST", r.host)
	r.set("TENA_DEV_PG_PORT", strconv.Itoa(port))
	r.compute("TENA_DEV_PG_PID", func() string { return strconv.Itoa(postgres.PID()) })
	r.Tell("PostgreSQL ready on port %d", port)
	return nil
}

func (r *Run) postgresArgs(data string, port int) []string {
	listen := "127.0.0.1"
	if r.host != listen {
		listen += "," + r.host
	}
	settings := []string{
		"listen_addresses=" + listen, "port=" + strconv.Itoa(port), "unix_socket_directories=",
		"max_connections=300", "shared_buffers=256MB", "max_locks_per_transaction=256",
		"shared_preload_libraries=pg_stat_statements", "password_encryption=scram-sha-256",
		"logging_collector=off", "log_line_prefix=%m [%p] %q%u@%d ", "max_wal_size=4GB",
	}
	if r.PostgresFast {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	args := []string{"-D", data}
	for _, setting := range append(settings, r.PostgresSettings...) { // the last one counts
		args = append(args, "-c", setting)
	}
	return args
}

// postgresFolder makes the folder for the data. It is in the run's, unless the server's user cannot get there.
func (r *Run) postgresFolder(account *syscall.Credential) (string, error) {
	folder := r.path("postgres")
	if account != nil && !isOpenToAll(r.Dir) {
		made, err := os.MkdirTemp("/var/tmp", "tenantra-postgres-")
		if err != nil {
			return "", err
		}
		if err := r.amend(func(record *slot.Record) { record.Scratch = append(record.Scratch, made) }); err != nil {
			return "", err
		}
		if err := os.Symlink(made, folder); err != nil {
			return "", err
		}
		folder = made
	} else if err := os.Mkdir(folder, 0o700); err != nil {
		return "", err
	}
	if account == nil {
		return folder, nil
	}
	return folder, os.Chown(folder, int(account.Uid), int(account.Gid))
}

// postgresAccount is the user that the server runs as: PostgreSQL refuses to run as root. The supervisor changes to
// it itself instead of through runuser, as a change of user takes away the signal that ends orphans.
func postgresAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres (%w); run: apt-get install postgresql", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// isOpenToAll says whether every user can pass through a folder and all above it.
func isOpenToAll(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

func writeFor(account *syscall.Credential, path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil || account == nil {
		return err
	}
	return os.Chown(path, int(account.Uid), int(account.Gid))
}

func allowLogins(path string, sources ...string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, source := range sources {
		if ip := net.ParseIP(source); ip != nil {
			source += "/32"
		}
		if _, err := fmt.Fprintf(file, "host all all %s scram-sha-256\nhost replication all %s scram-sha-256\n", source, source); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return file.Close()
}

// postmasterIsReady reads the server's state from the eighth line of its postmaster.pid, as pg_ctl does.
func postmasterIsReady(data string) error {
	file, err := os.Open(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	state := "starting"
	for number := 1; lines.Scan(); number++ {
		if number == 8 {
			state = strings.TrimSpace(lines.Text())
		}
	}
	if state != "ready" {
		return fmt.Errorf("the server is %s", state)
	}
	return lines.Err()
}

// secret is a password that nobody guesses, safe in any URL.
func secret() (string, error) {
	bytes := make([]byte, 18)
	_, err := rand.Read(bytes)
	return hex.EncodeToString(bytes), err
}
