package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"tenantra.io/hack/devcluster/internal/pki"
)

// Client is the small part of an API client that starting a cluster takes.
type Client struct {
	Server string
	http   http.Client
}

// StatusError is an answer other than success.
type StatusError struct {
	Method, Path string
	Status       int
	Body         string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: status %d: %s", e.Method, e.Path, e.Status, e.Body)
}

// NewClient makes a client that shows a certificate.
func NewClient(server string, authority []byte, client pki.Pair) (*Client, error) {
	certificate, err := tls.X509KeyPair(client.Certificate, client.Key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}}}
	return &Client{server, http.Client{Transport: transport, Timeout: 10 * time.Second}}, nil
}

// Do sends a request and reads the answer into out, unless that is nil.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.Server+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return &StatusError{method, path, response.StatusCode, string(text)}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// Create makes an object, at a collection's path.
func (c *Client) Create(ctx context.Context, collection string, object, out any) error {
	return c.Do(ctx, http.MethodPost, collection, object, out)
}

// Get reads an object.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.Do(ctx, http.MethodGet, path, nil, out)
}

// IsReady asks a health endpoint, which answers in plain text.
func (c *Client) IsReady(ctx context.Context, path string) error { return c.Get(ctx, path, nil) }
