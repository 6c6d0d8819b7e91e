// Package envfile writes what a run tells its users: `env` to be sourced by a shell, `env.json` for programs. Both
// appear whole or not at all, because their appearance is the sign that the run is ready.
package envfile

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	shellName = "env"
	jsonName  = "env.json"
)

// Write replaces both files in a folder, `env` last.
func Write(dir string, values map[string]string) error {
	text, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(dir, jsonName), append(text, '\n')); err != nil {
		return err
	}
	return replace(filepath.Join(dir, shellName), []byte(Shell(values)))
}

// Read reads what Write wrote.
func Read(dir string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, jsonName))
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	return values, json.Unmarshal(text, &values)
}

// Exists says whether the run in a folder is ready.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, shellName))
	return err == nil
}

// Remove takes both files away, `env` first.
func Remove(dir string) {
	_ = os.Remove(filepath.Join(dir, shellName)) // gone already is as good
	_ = os.Remove(filepath.Join(dir, jsonName))
}

// Shell is one KEY='value' line for each value, in order of the keys.
func Shell(values map[string]string) string {
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&lines, "%s='%s'\n", key, strings.ReplaceAll(values[key], "'", `'\''`))
	}
	return lines.String()
}

// replace writes a file that only its owner reads (it holds passwords) in one step.
func replace(path string, text []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}
