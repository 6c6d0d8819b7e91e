package run

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"tenantra.io/hack/devcluster/internal/proc"
)

// containerd is the run's own container runtime.
type containerd struct{ socket, ctr string }

func (r *Run) startContainerd(ctx context.Context) (*containerd, error) {
	binary, err := r.tools.packaged("containerd", "containerd runc containernetworking-plugins nftables")
	if err != nil {
		return nil, err
	}
	ctr, err := r.tools.packaged("ctr", "containerd")
	if err != nil {
		return nil, err
	}
	plugins, err := networkPlugins()
	if err != nil {
		return nil, err
	}
	c := &containerd{socket: r.path("containerd.sock")}
	if c.ctr, err = r.script("ctr", fmt.Sprintf("exec '%s' --address '%s' --namespace k8s.io \"$@\"\n", ctr, c.socket)); err != nil {
		return nil, err
	}
	for _, folder := range []string{"containerd", "network"} {
		if err := os.Mkdir(r.path(folder), 0o711); err != nil {
			return nil, err
		}
	}
	if err := r.writeNetwork(); err != nil {
		return nil, err
	}
	configuration := r.path("containerd/config.toml")
	text := fmt.Sprintf(`version = 2
root = %[1]q
state = %[2]q
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = %[3]q
[plugins."io.containerd.internal.v1.opt"]
  path = %[4]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[5]q
  # Without it every sandbox fails where this process may not lower its own score ("can't get final child's PID").
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[6]q
    conf_dir = %[7]q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = %[8]q
`, r.path("containerd/root"), r.path("containerd/state"), c.socket, r.path("containerd/opt"), pauseImage, plugins, r.path("network"), r.path("containerd/runc"))
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		return nil, err
	}
	process, err := r.supervisor.Start(proc.Spec{Name: "containerd", Path: binary, Args: []string{"--config", configuration}})
	if err != nil {
		return nil, err
	}
	err = process.WaitUntil(ctx, startLimit, func(ctx context.Context) error {
		_, err := r.supervisor.Run(ctx, proc.Spec{Name: "ctr version", Path: c.ctr, Args: []string{"version"}})
		return err
	})
	if err != nil {
		return nil, err
	}
	r.set("TENA_DEV_CTR", c.ctr)
	r.Tell("containerd ready")
	return c, nil
}

// writeNetwork describes the pods' network: a pair of interfaces for each pod, addresses from the run's range.
func (r *Run) writeNetwork() error {
	text, err := json.Marshal(map[string]any{
		"cniVersion": "0.4.0", "name": fmt.Sprintf("tenantra-%d", r.slot.Number),
		"plugins": []any{map[string]any{
			"type": "ptp", "ipMasq": false,
			"ipam": map[string]any{
				"type": "host-local", "dataDir": r.path("network-addresses"),
				"ranges": [][]map[string]string{{{"subnet": r.slot.PodNetwork()}}},
				"routes": []map[string]string{{"dst": "0.0.0.0/0"}},
			},
		}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(r.path("network/10-tenantra.conflist"), text, 0o644)
}

// networkPlugins is the folder of the CNI plugins: Debian's package, or where upstream's archive goes.
func networkPlugins() (string, error) {
	for _, folder := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if _, err := os.Stat(folder + "/ptp"); err == nil {
			return folder, nil
		}
	}
	return "", fmt.Errorf("the CNI plugins are missing; run: apt-get install containernetworking-plugins")
}

func (c *containerd) importImages(ctx context.Context, supervisor *proc.Supervisor, archives []string) error {
	for _, archive := range archives {
		limited, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not imported after %s", startLimit))
		_, err := supervisor.Run(limited, proc.Spec{Name: "ctr import", Path: c.ctr, Args: []string{"images", "import", archive}})
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}
