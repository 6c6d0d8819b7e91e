// Package image writes container images without a container engine: one layer with the files given, a configuration
// and a manifest, as the archive that `docker save` writes and containerd imports.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Image describes an image on top of nothing.
type Image struct {
	Name       string // with its tag
	Entrypoint []string
	Command    []string
	User       string            // uid:gid; empty is root
	Files      map[string]string // path in the image → path here, of a file or a folder
	Env        []string
}

// Write writes the archive to a path. The same files give the same image, whenever they were made.
func Write(archive string, image Image) (err error) {
	layer, err := os.CreateTemp(filepath.Dir(archive), ".layer-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, layer.Close(), os.Remove(layer.Name())) }()
	sum := sha256.New()
	if err := writeLayer(io.MultiWriter(layer, sum), image.Files); err != nil {
		return err
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	configuration, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": image.Entrypoint, "Cmd": image.Command, "User": image.User, "Env": image.Env},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
	})
	if err != nil {
		return err
	}
	configurationName := hexSum(configuration) + ".json"
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": configurationName, "RepoTags": []string{image.Name}, "Layers": []string{digest + "/layer.tar"},
	}})
	if err != nil {
		return err
	}
	next := archive + ".next"
	file, err := os.Create(next)
	if err != nil {
		return err
	}
	writer := tar.NewWriter(file)
	err = errors.Join(
		addBytes(writer, configurationName, configuration),
		addFile(writer, digest+"/layer.tar", layer.Name(), 0o644),
		addBytes(writer, "manifest.json", manifest),
		writer.Close(), file.Close(),
	)
	if err != nil {
		return err
	}
	return os.Rename(next, archive)
}

func writeLayer(to io.Writer, files map[string]string) error {
	sources := map[string]string{}
	for target, source := range files {
		if !path.IsAbs(target) {
			return fmt.Errorf("the path in the image must be absolute: %s", target)
		}
		err := filepath.WalkDir(source, func(found string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			relative, err := filepath.Rel(source, found)
			sources[path.Join(target, relative)] = found
			return err
		})
		if err != nil {
			return err
		}
	}
	targets := make([]string, 0, len(sources))
	for target := range sources {
		targets = append(targets, target)
	}
	slices.Sort(targets)
	writer := tar.NewWriter(to)
	// A program that writes a temporary file expects this folder, even on an image that is otherwise empty.
	if err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return err
	}
	made := map[string]bool{".": true, "tmp": true}
	for _, target := range targets {
		name := strings.TrimPrefix(target, "/")
		if err := addFolders(writer, path.Dir(name), made); err != nil {
			return err
		}
		info, err := os.Stat(sources[target])
		if err != nil {
			return err
		}
		if err := addFile(writer, name, sources[target], int64(info.Mode().Perm()|0o444)); err != nil {
			return err
		}
	}
	return writer.Close()
}

func addFolders(writer *tar.Writer, folder string, made map[string]bool) error {
	if made[folder] {
		return nil
	}
	if err := addFolders(writer, path.Dir(folder), made); err != nil {
		return err
	}
	made[folder] = true
	return writer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755})
}

func addFile(writer *tar.Writer, name, source string, mode int64) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := writer.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(writer, file)
	return err
}

func addBytes(writer *tar.Writer, name string, text []byte) error {
	if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
		return err
	}
	_, err := io.Copy(writer, bytes.NewReader(text))
	return err
}

func hexSum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
