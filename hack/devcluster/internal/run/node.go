package run

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"tenantra.io/hack/devcluster/internal/image"
	"tenantra.io/hack/devcluster/internal/pki"
	"tenantra.io/hack/devcluster/internal/proc"
	"tenantra.io/hack/devcluster/internal/slot"
)

const (
	pauseImage   = "tenantra.local/pause:1"
	coreDNSImage = "tenantra.local/coredns:1"

	// A socket's path has 107 bytes (unix(7)); the kubelet puts one this far below the run's folder.
	longestSocket = "/kubelet/pod-resources/kubelet.sock"
)

//go:embed coredns.yaml
var coreDNSManifest string

// kernelSettings are those that the kubelet, kube-proxy and the network plugin change for the whole machine.
var kernelSettings = []string{
	"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "vm/overcommit_memory", "vm/panic_on_oom",
	"kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// machineFolders are those outside of the run's folder that the kubelet makes by fixed names.
var machineFolders = []string{"/var/lib/kubelet", "/var/log/containers", "/var/lib/cni"}

// checkNode refuses what could only fail later, and less clearly.
func checkNode(dir string) error {
	if os.Geteuid() != 0 {
		return errors.New("the node profile runs containers and needs root; the control-plane profile does not")
	}
	if longest := 107 - len(longestSocket); len(dir) > longest {
		return fmt.Errorf("%s is too long for the sockets in it (%d characters, at most %d); choose a shorter --dir", dir, len(dir), longest)
	}
	return nil
}

// startNode starts containerd at once and the rest when the API server is there.
func (r *Run) startNode(ctx context.Context) error {
	containerd, err := r.startContainerd(ctx)
	if err != nil {
		return err
	}
	if err := r.importOwnImages(ctx, containerd); err != nil {
		return err
	}
	if err := containerd.importImages(ctx, r.supervisor, r.ImageTars); err != nil {
		return err
	}
	c, err := r.awaitAPI(ctx)
	if err != nil {
		return err
	}
	if _, err := r.startComponent(ctx, c, "kube-scheduler", "system:kube-scheduler"); err != nil {
		return err
	}
	if err := r.startKubelet(ctx, c, containerd); err != nil {
		return err
	}
	if err := r.startProxy(c); err != nil {
		return err
	}
	return r.startDNS(ctx, c)
}

func (r *Run) nodeName() string { return fmt.Sprintf("tenantra-%d", r.slot.Number) }

// recordMachine notes how the machine was, before anything changes it.
func (r *Run) recordMachine() error {
	nft, err := r.tools.packaged("nft", "nftables")
	if err != nil {
		return err
	}
	if output, err := exec.Command(nft, "list", "table", "ip", "kube-proxy").CombinedOutput(); err == nil {
		return fmt.Errorf("a kube-proxy already works on this machine (nft list table ip kube-proxy shows %d bytes); two cannot", len(output))
	}
	return r.amend(func(record *slot.Record) {
		record.Sysctls = map[string]string{}
		for _, name := range kernelSettings {
			if value, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil { // not every kernel has each
				record.Sysctls[name] = strings.TrimSpace(string(value))
			}
		}
		for _, folder := range machineFolders {
			if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
				record.Scratch = append(record.Scratch, folder)
			}
		}
	})
}

// importOwnImages makes and imports the images that any pod needs.
func (r *Run) importOwnImages(ctx context.Context, c *containerd) error {
	pause, err := r.tools.built("pause", "devcluster")
	if err != nil {
		return err
	}
	coreDNS, err := r.tools.built("coredns", "coredns")
	if err != nil {
		return err
	}
	var archives []string
	for _, own := range []image.Image{
		{Name: pauseImage, Entrypoint: []string{"/pause"}, User: "65535:65535", Files: map[string]string{"/pause": pause}},
		{Name: coreDNSImage, Entrypoint: []string{"/coredns"}, User: "65532:65532", Files: map[string]string{"/coredns": coreDNS}},
	} {
		archive := r.path("containerd", filepath.Base(own.Entrypoint[0])+".tar")
		if err := image.Write(archive, own); err != nil {
			return err
		}
		archives = append(archives, archive)
	}
	if err := c.importImages(ctx, r.supervisor, archives); err != nil {
		return err
	}
	for _, archive := range archives {
		if err := os.Remove(archive); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) startKubelet(ctx context.Context, c *controlPlane, containerd *containerd) error {
	var port, health int
	if err := r.ports(&port, &health); err != nil {
		return err
	}
	name := r.nodeName()
	serving, err := r.issueServer(c, "kubelet-serving", []string{name}, []string{r.host})
	if err != nil {
		return err
	}
	kubeconfig, err := r.writeKubeconfig(c, "kubelet", pki.Subject{User: "system:node:" + name, Groups: []string{"system:nodes"}})
	if err != nil {
		return err
	}
	if err := os.Mkdir(r.path("kubelet"), 0o755); err != nil {
		return err
	}
	configuration, err := json.Marshal(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address": r.host, "port": port, "healthzPort": health, "tlsCertFile": serving.certificate, "tlsPrivateKeyFile": serving.key,
		"authentication": map[string]any{
			"anonymous": map[string]bool{"enabled": false}, "webhook": map[string]bool{"enabled": true},
			"x509": map[string]string{"clientCAFile": r.path(AuthorityCertificate)},
		},
		"authorization":            map[string]string{"mode": "Webhook"},
		"containerRuntimeEndpoint": "unix://" + containerd.socket,
		"podLogsDir":               r.path("kubelet", "logs"), "volumePluginDir": r.path("kubelet", "plugins-exec"),
		"clusterDomain": "cluster.local", "clusterDNS": []string{r.slot.ServiceAddress(10)}, "resolvConf": "/dev/null",
		"failCgroupV1": false, "cgroupDriver": "cgroupfs", "failSwapOn": false, "maxPods": 200,
		// The machine is shared with builds: pods are not evicted, and nothing is reserved, because of them.
		"evictionHard": map[string]string{}, "enforceNodeAllocatable": []string{}, "localStorageCapacityIsolation": false,
		"imageGCHighThresholdPercent": 100, "makeIPTablesUtilChains": false, "oomScoreAdj": 0,
		"syncFrequency": "10s", "nodeStatusUpdateFrequency": "5s", "registerNode": true,
	})
	if err != nil {
		return err
	}
	path := r.path("kubelet", "config.json")
	if err := os.WriteFile(path, configuration, 0o600); err != nil {
		return err
	}
	kubelet, err := r.supervisor.Start(proc.Spec{Name: "kubelet", Path: c.binary, Stop: atOnce, Args: []string{
		"kubelet", "--config", path, "--kubeconfig", kubeconfig, "--root-dir", r.path("kubelet"), "--cert-dir", r.path("kubelet", "pki"),
		"--hostname-override", name, "--node-ip", r.host, "--node-labels", strings.Join(r.NodeLabels, ","),
	}})
	if err != nil {
		return err
	}
	r.kubelet = kubelet
	err = kubelet.WaitUntil(ctx, startLimit, func(ctx context.Context) error {
		var node struct {
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}
		if err := c.admin.Get(ctx, "/api/v1/nodes/"+name, &node); err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == "Ready" && condition.Status != "True" {
				return errors.New(condition.Message)
			} else if condition.Type == "Ready" {
				return nil
			}
		}
		return errors.New("the node has no condition Ready yet")
	})
	if err == nil {
		r.Tell("node %s ready", name)
		r.set("TENA_DEV_NODE", name)
	}
	return err
}

func (r *Run) startProxy(c *controlPlane) error {
	var health, metrics int
	if err := r.ports(&health, &metrics); err != nil {
		return err
	}
	kubeconfig, err := r.writeKubeconfig(c, "kube-proxy", pki.Subject{User: "system:kube-proxy"})
	if err != nil {
		return err
	}
	_, err = r.supervisor.Start(proc.Spec{Name: "kube-proxy", Path: c.binary, Stop: atOnce, Args: []string{
		"kube-proxy", "--kubeconfig", kubeconfig, "--proxy-mode", "nftables", "--hostname-override", r.nodeName(),
		"--cluster-cidr", r.slot.PodNetwork(), "--oom-score-adj", "0",
		"--healthz-bind-address", fmt.Sprintf("127.0.0.1:%d", health), "--metrics-bind-address", fmt.Sprintf("127.0.0.1:%d", metrics),
		// Zero leaves the machine's own limits for connections alone.
		"--conntrack-max-per-core", "0", "--conntrack-tcp-timeout-established", "0", "--conntrack-tcp-timeout-close-wait", "0",
	}})
	return err
}

// startDNS runs CoreDNS and waits until it answers on the service's address: that shows pods, services and names work.
func (r *Run) startDNS(ctx context.Context, c *controlPlane) error {
	address := r.slot.ServiceAddress(10)
	manifest := r.path("coredns.yaml")
	text := strings.NewReplacer("@ADDRESS@", address, "@IMAGE@", coreDNSImage).Replace(coreDNSManifest)
	if err := os.WriteFile(manifest, []byte(text), 0o644); err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not done after %s", startLimit))
	defer cancel()
	_, err := r.supervisor.Run(limited, proc.Spec{
		Name: "kubectl apply", Path: r.path("bin", "kubectl"), Args: []string{"apply", "-f", manifest},
	})
	if err != nil {
		return err
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, net.JoinHostPort(address, "53"))
	}}
	err = r.kubelet.WaitUntil(ctx, startLimit, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
		return err
	})
	if err == nil {
		r.Tell("cluster DNS answers on %s", address)
	}
	return err
}
