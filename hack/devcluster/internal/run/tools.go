package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Tools finds the programs a run starts. Those that hack/setup.sh builds lie, as links, beside this executable; that
// keeps two checkouts with different versions apart.
type Tools struct{ folder string }

// FindTools looks beside the running executable.
func FindTools() (Tools, error) {
	path, err := os.Executable()
	if err != nil {
		return Tools{}, err
	}
	path, err = filepath.EvalSymlinks(path)
	return Tools{filepath.Dir(path)}, err
}

// built is the path of a program that a component of hack/setup.sh provides.
func (t Tools) built(program, component string) (string, error) {
	path, err := filepath.EvalSymlinks(filepath.Join(t.folder, program))
	if err != nil {
		return "", fmt.Errorf("%s is not installed; run: hack/setup.sh %s", program, component)
	}
	return path, nil
}

// packaged is the path of a program of the distribution.
func (t Tools) packaged(program, packages string) (string, error) {
	for _, folder := range []string{"", "/usr/sbin/", "/sbin/"} { // sbin is not on every user's PATH
		if path, err := exec.LookPath(folder + program); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is missing; run: apt-get install %s", program, packages)
}

// postgresFolder is where the newest PostgreSQL server's programs are.
func postgresFolder() (string, error) {
	const oldest = 15
	candidates, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	best, folder := oldest-1, ""
	for _, path := range candidates {
		bin := filepath.Dir(path)
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && version > best {
			best, folder = version, bin
		}
	}
	if folder == "" {
		return "", fmt.Errorf("no PostgreSQL server (%d or later) in /usr/lib/postgresql; run: apt-get install postgresql", oldest)
	}
	return folder, nil
}
