package parity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority is a certificate authority with a server and a client certificate, as
// files in a directory.
type authority struct {
	dir         string
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	client      tls.Certificate
	serial      int64
}

func newAuthority(dir string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificateTemplate(1, "authority")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	a := &authority{dir: dir, key: key, serial: 1}
	if a.certificate, err = x509.ParseCertificate(raw); err != nil {
		return nil, err
	}
	if err := writePEM(a.path("ca.pem"), "CERTIFICATE", raw); err != nil {
		return nil, err
	}
	if err := a.RotateServer(); err != nil {
		return nil, err
	}
	a.client, err = a.issue("client", "client")
	return a, err
}

func certificateTemplate(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"localhost"},
	}
}

// RotateServer writes a new server certificate over the old one.
func (a *authority) RotateServer() error {
	_, err := a.issue("server", "server")
	return err
}

// issue signs a certificate and leaves it in file.pem and file-key.pem.
func (a *authority) issue(file, name string) (tls.Certificate, error) {
	a.serial++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	raw, err := x509.CreateCertificate(rand.Reader, certificateTemplate(a.serial, name), a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := writePEM(a.path(file+".pem"), "CERTIFICATE", raw); err != nil {
		return tls.Certificate{}, err
	}
	if err := writePEM(a.path(file+"-key.pem"), "PRIVATE KEY", rawKey); err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, nil
}

// writePEM replaces the file at once, as tools that rotate certificates do.
func writePEM(path, kind string, raw []byte) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) serverFlags() []string {
	return []string{
		"--cert-file", a.path("server.pem"),
		"--key-file", a.path("server-key.pem"),
		"--trusted-ca-file", a.path("ca.pem"),
		"--client-cert-auth",
	}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// clientConfig trusts the authority and shows its client certificate.
func (a *authority) clientConfig() *tls.Config {
	return &tls.Config{RootCAs: a.pool(), Certificates: []tls.Certificate{a.client}, ServerName: "localhost"}
}
