package run

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"tenantra.io/hack/devcluster/internal/proc"
)

const reviewer = "openbao-reviewer"

// bao is a client of the run's OpenBao.
type bao struct {
	address string
	token   string
	http    http.Client
}

func (r *Run) startOpenBao(ctx context.Context) error {
	binary, err := r.tools.built("bao", "openbao")
	if err != nil {
		return err
	}
	var port, raft int
	if err := r.ports(&port, &raft); err != nil {
		return err
	}
	configuration, err := r.writeOpenBao(port, raft)
	if err != nil {
		return err
	}
	process, err := r.supervisor.Start(proc.Spec{Name: "openbao", Path: binary, Args: []string{"server", "-config", configuration}})
	if err != nil {
		return err
	}
	client := &bao{address: fmt.Sprintf("http://127.0.0.1:%d", port), http: http.Client{Timeout: 10 * time.Second}}
	answers := func(path string) error {
		return process.WaitUntil(ctx, startLimit, func(ctx context.Context) error { return client.do(ctx, http.MethodGet, path, nil, nil) })
	}
	if err := answers("sys/seal-status"); err != nil {
		return err
	}
	var initialised struct {
		RootToken string `json:"root_token"`
	}
	if err := client.do(ctx, http.MethodPut, "sys/init", map[string]int{"recovery_shares": 1, "recovery_threshold": 1}, &initialised); err != nil {
		return err
	}
	client.token = initialised.RootToken
	if err := answers("sys/health"); err != nil { // unsealed, and the leader
		return err
	}
	for path, mount := range map[string]any{
		"sys/mounts/secret":   map[string]any{"type": "kv", "options": map[string]string{"version": "2"}},
		"sys/mounts/transit":  map[string]string{"type": "transit"},
		"sys/mounts/pki":      map[string]string{"type": "pki"},
		"sys/auth/kubernetes": map[string]string{"type": "kubernetes"},
	} {
		if err := client.do(ctx, http.MethodPost, path, mount, nil); err != nil {
			return err
		}
	}
	if err := answers("secret/config"); err != nil { // a new kv-v2 mount refuses everything for a moment
		return err
	}
	r.set("TENA_DEV_BAO_ADDR", client.address)
	r.set("TENA_DEV_BAO_POD_ADDR", fmt.Sprintf("http://%s:%d", r.host, port))
	r.set("TENA_DEV_BAO_TOKEN", client.token)
	r.set("TENA_DEV_BAO_AUDIT_LOG", r.path("openbao/audit.log"))
	r.compute("TENA_DEV_BAO_PID", func() string { return strconv.Itoa(process.PID()) })
	r.Tell("OpenBao ready on %s", client.address)
	if r.Profile == None {
		return nil
	}
	return r.joinOpenBaoToCluster(ctx, client)
}

// writeOpenBao writes the configuration: raft storage, unsealed by a key that lies beside it, without TLS.
func (r *Run) writeOpenBao(port, raft int) (string, error) {
	for _, folder := range []string{"openbao", "openbao/raft"} {
		if err := os.Mkdir(r.path(folder), 0o700); err != nil {
			return "", err
		}
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return "", err
	}
	if err := os.WriteFile(r.path("openbao/unseal.key"), key, 0o600); err != nil {
		return "", err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, `storage "raft" {
  path = %q
  node_id = "dev"
  performance_multiplier = 1
}
seal "static" {
  current_key_id = "dev"
  current_key = %q
}
api_addr = "http://127.0.0.1:%d"
cluster_addr = "http://127.0.0.1:%d"
audit "file" "file" {
  options { file_path = %q }
}
`, r.path("openbao/raft"), "file://"+r.path("openbao/unseal.key"), port, raft, r.path("openbao/audit.log"))
	addresses := []string{"127.0.0.1"}
	if r.host != addresses[0] {
		addresses = append(addresses, r.host)
	}
	for _, address := range addresses {
		// Only one listener may serve the cluster's own port; the others get one that the kernel chooses.
		fmt.Fprintf(&text, "listener \"tcp\" {\n  address = \"%s:%d\"\n  cluster_address = \"%s:%d\"\n  tls_disable = true\n}\n", address, port, address, raft)
	}
	path := r.path("openbao/openbao.hcl")
	return path, os.WriteFile(path, text.Bytes(), 0o600)
}

// joinOpenBaoToCluster lets OpenBao ask the cluster whose a service account's token is.
func (r *Run) joinOpenBaoToCluster(ctx context.Context, client *bao) error {
	c, err := r.awaitAPI(ctx)
	if err != nil {
		return err
	}
	metadata := map[string]string{"name": reviewer, "namespace": "kube-system"}
	err = c.admin.Create(ctx, "/api/v1/namespaces/kube-system/serviceaccounts",
		map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, nil)
	if err != nil {
		return err
	}
	err = c.admin.Create(ctx, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
		"metadata": map[string]string{"name": reviewer},
		"roleRef":  map[string]string{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
		"subjects": []any{map[string]string{"kind": "ServiceAccount", "name": reviewer, "namespace": "kube-system"}},
	}, nil)
	if err != nil {
		return err
	}
	var token struct {
		Status struct{ Token string }
	}
	err = c.admin.Create(ctx, "/api/v1/namespaces/kube-system/serviceaccounts/"+reviewer+"/token", map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{"expirationSeconds": 365 * 24 * 3600},
	}, &token)
	if err != nil {
		return err
	}
	return client.do(ctx, http.MethodPost, "auth/kubernetes/config", map[string]any{
		"kubernetes_host": c.url, "kubernetes_ca_cert": string(c.authority.PEM), "token_reviewer_jwt": token.Status.Token,
		"disable_local_ca_jwt": true,
	}, nil)
}

func (b *bao) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, b.address+"/v1/"+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("X-Vault-Token", b.token)
	response, err := b.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("OpenBao: %s %s: status %d: %s", method, path, response.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
