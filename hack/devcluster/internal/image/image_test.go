package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestAnImageHoldsItsFilesAndSaysHowToStartThem(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "program")
	if err := os.WriteFile(program, []byte("binary"), 0o755); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(folder, "image.tar")
	wanted := Image{Name: "x/y:1", Entrypoint: []string{"/bin/program"}, User: "1:1", Files: map[string]string{"/bin/program": program}}
	if err := Write(archive, wanted); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, read(t, archive))
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 || manifest[0].RepoTags[0] != "x/y:1" {
		t.Fatalf("manifest %+v (%v)", manifest, err)
	}
	var configuration struct {
		Config struct {
			Entrypoint []string
			User       string
		} `json:"config"`
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(files[manifest[0].Config], &configuration); err != nil {
		t.Fatal(err)
	}
	if configuration.Config.Entrypoint[0] != "/bin/program" || configuration.Config.User != "1:1" {
		t.Fatalf("configuration %+v", configuration)
	}
	layer := files[manifest[0].Layers[0]]
	if configuration.RootFS.DiffIDs[0] != "sha256:"+hexSum(layer) {
		t.Fatal("the layer is not the one that the configuration names")
	}
	if string(unpack(t, layer)["bin/program"]) != "binary" {
		t.Fatal("the layer has no program")
	}
}

func TestTheSameFilesGiveTheSameImage(t *testing.T) {
	folder := t.TempDir()
	tree := filepath.Join(folder, "tree")
	for _, name := range []string{"b/two", "a/one"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tree, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var archives [2][]byte
	for at := range archives {
		path := filepath.Join(folder, "image.tar")
		if err := Write(path, Image{Name: "x:1", Files: map[string]string{"/data": tree}}); err != nil {
			t.Fatal(err)
		}
		archives[at] = read(t, path)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Fatal("two archives of the same files differ")
	}
}

func TestARelativePathInTheImageIsRefused(t *testing.T) {
	if err := Write(filepath.Join(t.TempDir(), "image.tar"), Image{Name: "x:1", Files: map[string]string{"bin": "/etc/hostname"}}); err == nil {
		t.Fatal("no error")
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
}
