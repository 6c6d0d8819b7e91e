package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAUserBecomesCommonNameAndGroupsBecomeOrganisations(t *testing.T) {
	authority := newAuthority(t)
	certificate := issue(t, authority, Subject{User: "alice", Groups: []string{"acme", "auditors"}})
	if certificate.Subject.CommonName != "alice" || !slices.Equal(certificate.Subject.Organization, []string{"acme", "auditors"}) {
		t.Fatalf("got %s", certificate.Subject)
	}
	verify(t, authority, certificate, x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if slices.Contains(certificate.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		t.Fatal("a user's certificate can serve")
	}
}

func TestAServerIsVerifiedByNameAndAddress(t *testing.T) {
	authority := newAuthority(t)
	certificate := issue(t, authority, Subject{User: "kube-apiserver", Names: []string{"localhost"}, IPs: []net.IP{net.ParseIP("10.89.7.1")}})
	for _, name := range []string{"localhost", "10.89.7.1"} {
		verify(t, authority, certificate, x509.VerifyOptions{DNSName: name})
	}
}

func TestASavedAuthoritySignsForTheSameRoot(t *testing.T) {
	authority, folder := newAuthority(t), t.TempDir()
	certificatePath, keyPath := filepath.Join(folder, "ca.crt"), filepath.Join(folder, "ca.key")
	if err := authority.Save(certificatePath, keyPath); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(keyPath); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key's mode is %v (%v)", info.Mode(), err)
	}
	loaded, err := Load(certificatePath, keyPath)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, authority, issue(t, loaded, Subject{User: "bob"}), x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

func newAuthority(t *testing.T) *Authority {
	t.Helper()
	authority, err := New("test")
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func issue(t *testing.T, authority *Authority, subject Subject) *x509.Certificate {
	t.Helper()
	pair, err := authority.Issue(subject)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Leaf
}

func verify(t *testing.T, authority *Authority, certificate *x509.Certificate, options x509.VerifyOptions) {
	t.Helper()
	options.Roots = x509.NewCertPool()
	options.Roots.AppendCertsFromPEM(authority.PEM)
	if _, err := certificate.Verify(options); err != nil {
		t.Fatal(err)
	}
}
