// Command probe runs in a pod of the smoke test: it finds the API server by name through the cluster's DNS, reaches it
// at a service's address, and opens connections to the addresses given, which are this machine's.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := probe(os.Args[1:]); err != nil {
		fmt.Println("probe failed:", err)
		os.Exit(1) // the kubelet starts it again
	}
	fmt.Println("probe ok")
	time.Sleep(time.Hour)
}

func probe(addresses []string) error {
	authority, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	response, err := client.Get("https://kubernetes.default.svc/version")
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	for _, address := range addresses {
		connection, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			return err
		}
		if err := connection.Close(); err != nil {
			return err
		}
	}
	return nil
}
