package run

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"tenantra.io/hack/devcluster/internal/kube"
	"tenantra.io/hack/devcluster/internal/pki"
	"tenantra.io/hack/devcluster/internal/proc"
)

// controlPlane is what the other parts need of it.
type controlPlane struct {
	binary    string
	authority *pki.Authority
	url       string
	advertise string
	admin     *kube.Client
}

// Paths of the authority, for the commands that read them from another process.
const (
	AuthorityCertificate = "pki/ca.crt"
	AuthorityKey         = "pki/ca.key"
)

// atOnce ends what keeps nothing itself. Asked politely, the API server would wait for its clients.
const atOnce = syscall.SIGKILL

func (r *Run) startControlPlane(ctx context.Context) error {
	binary, err := r.tools.built("kube", "kube")
	if err != nil {
		return err
	}
	authority, err := pki.New(fmt.Sprintf("tenantra development cluster %d", r.slot.Number))
	if err != nil {
		return err
	}
	if err := authority.Save(r.path(AuthorityCertificate), r.path(AuthorityKey)); err != nil {
		return err
	}
	c := &controlPlane{binary: binary, authority: authority}
	if c.advertise, err = r.advertised(); err != nil {
		return err
	}
	etcd, err := r.startEtcd(ctx, c)
	if err != nil {
		return err
	}
	api, err := r.startAPIServer(ctx, c, etcd)
	if err != nil {
		return err
	}
	if err := api.WaitUntil(ctx, startLimit, func(ctx context.Context) error { return c.admin.IsReady(ctx, "/readyz") }); err != nil {
		return err
	}
	r.Tell("API server ready on %s", c.url)
	r.cluster = c
	close(r.apiReady)
	return r.startControllerManager(ctx, c)
}

func (r *Run) startEtcd(ctx context.Context, c *controlPlane) (url string, err error) {
	var client, peer int
	if err := r.ports(&client, &peer); err != nil {
		return "", err
	}
	server, err := r.issueServer(c, "etcd", []string{"localhost"}, []string{"127.0.0.1"})
	if err != nil {
		return "", err
	}
	url = fmt.Sprintf("https://127.0.0.1:%d", client)
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", peer)
	etcd, err := r.supervisor.Start(proc.Spec{Name: "etcd", Path: c.binary, Args: []string{
		"etcd", "--name", "dev", "--data-dir", r.path("etcd"), "--log-level", "warn",
		"--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "dev=" + peerURL,
		"--cert-file", server.certificate, "--key-file", server.key,
		"--client-cert-auth", "--trusted-ca-file", r.path(AuthorityCertificate),
		// A single member, whose data goes with the run: nothing to wait for, nothing to survive a power cut.
		"--unsafe-no-fsync", "--heartbeat-interval", "50", "--election-timeout", "250",
		"--quota-backend-bytes", "4294967296",
	}})
	if err != nil {
		return "", err
	}
	pair, err := c.authority.Issue(pki.Subject{User: "devcluster"})
	if err != nil {
		return "", err
	}
	probe, err := kube.NewClient(url, c.authority.PEM, pair)
	if err != nil {
		return "", err
	}
	return url, etcd.WaitUntil(ctx, startLimit, func(ctx context.Context) error { return probe.IsReady(ctx, "/health") })
}

func (r *Run) startAPIServer(_ context.Context, c *controlPlane, etcd string) (*proc.Process, error) {
	var port int
	if err := r.ports(&port); err != nil {
		return nil, err
	}
	c.url = fmt.Sprintf("https://%s:%d", r.host, port)
	server, err := r.issueServer(c, "kube-apiserver",
		[]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		[]string{"127.0.0.1", c.advertise, r.slot.ServiceAddress(1)})
	if err != nil {
		return nil, err
	}
	client, err := r.issueClient(c, "apiserver-client", pki.Subject{User: "kube-apiserver", Groups: []string{"system:masters"}})
	if err != nil {
		return nil, err
	}
	signing, public, err := pki.NewSigningKey()
	if err != nil {
		return nil, err
	}
	tokens := pki.Pair{Certificate: public, Key: signing}
	if err := tokens.Save(r.path("pki/service-accounts.pub"), r.path("pki/service-accounts.key")); err != nil {
		return nil, err
	}
	if err := r.writeAdmin(c); err != nil {
		return nil, err
	}
	return r.supervisor.Start(proc.Spec{Name: "kube-apiserver", Path: c.binary, Stop: atOnce, Args: []string{
		"kube-apiserver",
		"--bind-address", r.host, "--secure-port", fmt.Sprint(port), "--advertise-address", c.advertise,
		"--tls-cert-file", server.certificate, "--tls-private-key-file", server.key,
		"--client-ca-file", r.path(AuthorityCertificate),
		"--etcd-servers", etcd, "--etcd-cafile", r.path(AuthorityCertificate),
		"--etcd-certfile", client.certificate, "--etcd-keyfile", client.key,
		"--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction", "--allow-privileged=true",
		"--service-cluster-ip-range", r.slot.ServiceNetwork(),
		// The audience of agents' tokens is not among the server's own: such a token must not open the API.
		"--service-account-issuer", "https://kubernetes.default.svc", "--api-audiences", "https://kubernetes.default.svc",
		"--service-account-signing-key-file", r.path("pki/service-accounts.key"),
		"--service-account-key-file", r.path("pki/service-accounts.pub"),
		"--kubelet-preferred-address-types", "InternalIP", "--kubelet-certificate-authority", r.path(AuthorityCertificate),
		"--kubelet-client-certificate", client.certificate, "--kubelet-client-key", client.key,
	}})
}

// writeAdmin gives the administrator a kubeconfig, a client and a kubectl.
func (r *Run) writeAdmin(c *controlPlane) error {
	pair, err := c.authority.Issue(pki.Subject{User: "admin", Groups: []string{"system:masters"}})
	if err != nil {
		return err
	}
	if c.admin, err = kube.NewClient(c.url, c.authority.PEM, pair); err != nil {
		return err
	}
	path := r.path("kubeconfig")
	if err := os.WriteFile(path, kube.Kubeconfig(c.url, "admin", c.authority.PEM, pair), 0o600); err != nil {
		return err
	}
	// The cache of discovery stays with the run: another one may later answer on the same address.
	kubectl, err := r.script("kubectl", fmt.Sprintf("export KUBECONFIG='%s' KUBECACHEDIR='%s'\nexec '%s' kubectl \"$@\"\n", path, r.path("kubectl-cache"), c.binary))
	r.set("KUBECONFIG", path)
	r.set("TENA_DEV_KUBECTL", kubectl)
	r.set("TENA_DEV_API_URL", c.url)
	return err
}

func (r *Run) startControllerManager(ctx context.Context, c *controlPlane) error {
	process, err := r.startComponent(ctx, c, "kube-controller-manager", "system:kube-controller-manager",
		"--use-service-account-credentials", "--root-ca-file", r.path(AuthorityCertificate),
		"--service-account-private-key-file", r.path("pki/service-accounts.key"),
		"--cluster-signing-cert-file", r.path(AuthorityCertificate), "--cluster-signing-key-file", r.path(AuthorityKey),
		// The defaults delete about one namespace a second.
		"--kube-api-qps", "400", "--kube-api-burst", "800", "--concurrent-namespace-syncs", "20",
	)
	if err != nil {
		return err
	}
	// Pods, and tests that make tokens, need what the controllers put into a new namespace.
	err = process.WaitUntil(ctx, startLimit, func(ctx context.Context) error {
		if err := c.admin.Get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil); err != nil {
			return err
		}
		return c.admin.Get(ctx, "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", nil)
	})
	if err == nil {
		r.Tell("controllers ready")
	}
	return err
}

// startComponent starts a controller manager or scheduler and waits until it is healthy.
func (r *Run) startComponent(ctx context.Context, c *controlPlane, name, user string, args ...string) (*proc.Process, error) {
	var port int
	if err := r.ports(&port); err != nil {
		return nil, err
	}
	server, err := r.issueServer(c, name, []string{"localhost"}, []string{"127.0.0.1"})
	if err != nil {
		return nil, err
	}
	kubeconfig, err := r.writeKubeconfig(c, name, pki.Subject{User: user})
	if err != nil {
		return nil, err
	}
	return r.supervisor.Start(proc.Spec{Name: name, Path: c.binary, Stop: atOnce, Args: append([]string{
		name, "--kubeconfig", kubeconfig, "--authentication-kubeconfig", kubeconfig, "--authorization-kubeconfig", kubeconfig,
		"--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(port), "--leader-elect=false",
		"--tls-cert-file", server.certificate, "--tls-private-key-file", server.key,
	}, args...)})
}

// awaitAPI waits until the API server answers; the part that starts it reports why it does not.
func (r *Run) awaitAPI(ctx context.Context) (*controlPlane, error) {
	select {
	case <-r.apiReady:
		return r.cluster, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(2 * startLimit):
		return nil, fmt.Errorf("the API server is not ready after %s", 2*startLimit)
	}
}

type pairFiles struct{ certificate, key string }

func (r *Run) issueServer(c *controlPlane, name string, names, addresses []string) (pairFiles, error) {
	subject := pki.Subject{User: name, Names: names}
	for _, address := range addresses {
		subject.IPs = append(subject.IPs, net.ParseIP(address))
	}
	return r.issueClient(c, name, subject)
}

func (r *Run) issueClient(c *controlPlane, name string, subject pki.Subject) (pairFiles, error) {
	files := pairFiles{r.path("pki", name+".crt"), r.path("pki", name+".key")}
	pair, err := c.authority.Issue(subject)
	if err != nil {
		return files, err
	}
	return files, pair.Save(files.certificate, files.key)
}

func (r *Run) writeKubeconfig(c *controlPlane, name string, subject pki.Subject) (string, error) {
	path := r.path("pki", name+".kubeconfig")
	pair, err := c.authority.Issue(subject)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, kube.Kubeconfig(c.url, subject.User, c.authority.PEM, pair), 0o600)
}
