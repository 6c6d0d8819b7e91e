// Command scratchimage writes a container image of one static program on an empty base, as a tar that
// `ctr image import` and `docker load` take. The same program gives the same bytes: times and owners are fixed.
//
//	scratchimage -name tenantra/api:dev -program ./tenantra-api -user 65532:65532 -out api.tar
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

type config struct {
	Architecture string          `json:"architecture"`
	OS           string          `json:"os"`
	Created      string          `json:"created"`
	Config       containerConfig `json:"config"`
	RootFS       rootFS          `json:"rootfs"`
	History      []history       `json:"history"`
}

type containerConfig struct {
	User       string   `json:"User,omitempty"`
	Entrypoint []string `json:"Entrypoint"`
	WorkingDir string   `json:"WorkingDir"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

const epoch = "1970-01-01T00:00:00Z"

func main() {
	name := flag.String("name", "", "name and tag of the image, such as tenantra/api:dev")
	program := flag.String("program", "", "the static program; it becomes /<its file name> and the entry point")
	user := flag.String("user", "65532:65532", "user and group the program runs as")
	out := flag.String("out", "", "the tar to write")
	flag.Parse()
	if *name == "" || *program == "" || *out == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := write(*name, *program, *user, *out); err != nil {
		fmt.Fprintln(os.Stderr, "scratchimage:", err)
		os.Exit(1)
	}
}

func write(name, program, user, out string) error {
	binary, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	entry := filepath.Base(program)
	layer, err := layerOf(entry, binary)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(layer)
	layerName := hex.EncodeToString(digest[:]) + "/layer.tar"
	cfg, err := json.Marshal(config{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Created:      epoch,
		Config:       containerConfig{User: user, Entrypoint: []string{"/" + entry}, WorkingDir: "/"},
		RootFS:       rootFS{Type: "layers", DiffIDs: []string{"sha256:" + hex.EncodeToString(digest[:])}},
		History:      []history{{Created: epoch, CreatedBy: "scratchimage " + entry}},
	})
	if err != nil {
		return err
	}
	cfgDigest := sha256.Sum256(cfg)
	cfgName := hex.EncodeToString(cfgDigest[:]) + ".json"
	man, err := json.Marshal([]manifest{{Config: cfgName, RepoTags: []string{name}, Layers: []string{layerName}}})
	if err != nil {
		return err
	}

	// Written beside its place and renamed, so that nobody loads half an image.
	file, err := os.CreateTemp(filepath.Dir(out), ".image-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	w := tar.NewWriter(file)
	for _, f := range []struct {
		name string
		body []byte
	}{{cfgName, cfg}, {layerName, layer}, {"manifest.json", man}} {
		if err := add(w, f.name, 0o644, bytes.NewReader(f.body), int64(len(f.body))); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), out)
}

// layerOf makes the one layer: the program, and the folders that mounts and temporary files need.
func layerOf(entry string, binary []byte) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []struct {
		name string
		mode int64
	}{{"etc/", 0o755}, {"tmp/", 0o1777}, {"var/", 0o755}, {"var/lib/", 0o755}} {
		header := tar.Header{Typeflag: tar.TypeDir, Name: dir.name, Mode: dir.mode, ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
	}
	if err := add(w, entry, 0o755, bytes.NewReader(binary), int64(len(binary))); err != nil {
		return nil, err
	}
	err := w.Close()
	return layer.Bytes(), err
}

func add(w *tar.Writer, name string, mode int64, body io.Reader, size int64) error {
	header := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size, ModTime: time.Unix(0, 0)}
	if err := w.WriteHeader(&header); err != nil {
		return err
	}
	_, err := io.Copy(w, body)
	return err
}
