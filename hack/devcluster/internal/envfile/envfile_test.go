package envfile

import (
	"maps"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestAShellReadsBackEveryValueUnchanged(t *testing.T) {
	dir := t.TempDir()
	values := map[string]string{
		"PLAIN": "http://127.0.0.1:1", "BLANK": "a b  c", "QUOTE": `it's "so"`, "DOLLAR": "$HOME `id` \\", "EMPTY": "",
	}
	if err := Write(dir, values); err != nil {
		t.Fatal(err)
	}
	for key, want := range values {
		output, err := exec.Command("/bin/sh", "-c", `. "$1"; eval "printf %s \"\$$2\""`, "sh", filepath.Join(dir, "env"), key).Output()
		if err != nil || string(output) != want {
			t.Errorf("%s: the shell reads %q, want %q (%v)", key, output, want, err)
		}
	}
	read, err := Read(dir)
	if err != nil || !maps.Equal(read, values) {
		t.Fatalf("read %v (%v)", read, err)
	}
}

func TestTheFilesAppearWithTheRunAndGoWithIt(t *testing.T) {
	dir := t.TempDir()
	if Exists(dir) {
		t.Fatal("ready before it was written")
	}
	if err := Write(dir, map[string]string{"A": "1"}); err != nil {
		t.Fatal(err)
	}
	if !Exists(dir) {
		t.Fatal("not ready after it was written")
	}
	Remove(dir)
	if Exists(dir) {
		t.Fatal("still ready")
	}
}
