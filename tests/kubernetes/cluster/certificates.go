package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const validity = 24 * time.Hour

// authority is a certificate authority that lives as long as the test.
type authority struct {
	directory   string
	certificate *x509.Certificate
	key         crypto.Signer
}

// identity is a certificate and its key as files in PEM.
type identity struct {
	certFile, keyFile string
}

func newAuthority(directory string) (*authority, error) {
	template := certificateTemplate("kubernetes")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	ca := &authority{directory: directory, certificate: template}
	var err error
	if ca.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if _, err := ca.write("ca", template, ca.key); err != nil {
		return nil, err
	}
	return ca, nil
}

func (a *authority) certFile() string {
	return filepath.Join(a.directory, "ca.crt")
}

// issue makes a certificate for a client of the given name and groups; it serves as a
// server's on the loopback address too.
func (a *authority) issue(file, commonName string, organizations ...string) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	template := certificateTemplate(commonName)
	template.Subject.Organization = organizations
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	return a.write(file, template, key)
}

func certificateTemplate(commonName string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // the system has no randomness
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(validity),
	}
}

func (a *authority) write(file string, template *x509.Certificate, key crypto.Signer) (identity, error) {
	certificate, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return identity{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return identity{}, err
	}
	files := identity{filepath.Join(a.directory, file+".crt"), filepath.Join(a.directory, file+".key")}
	if err := writePEM(files.certFile, "CERTIFICATE", certificate); err != nil {
		return identity{}, err
	}
	return files, writePEM(files.keyFile, "PRIVATE KEY", private)
}

func writePEM(path, kind string, content []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600)
}
