// Package kube talks to a run's API server as an administrator, and writes kubeconfigs for others to do so.
package kube

import (
	"encoding/base64"
	"fmt"

	"tenantra.io/hack/devcluster/internal/pki"
)

// Kubeconfig is a kubeconfig for a client certificate, with everything in the one file.
func Kubeconfig(server, user string, authority []byte, client pki.Pair) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: tenantra-dev
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %q
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: tenantra-dev
  context:
    cluster: tenantra-dev
    user: %q
current-context: tenantra-dev
`, server, encode(authority), user, encode(client.Certificate), encode(client.Key), user)
}
