package backend

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
)

const loopback = "127.0.0.1"

// FreeAddress returns a host:port of the loopback interface that nobody listens on and
// that no other process of these tests was given while it lives: a server that another
// one's health check reached by mistake would make riddles.
func FreeAddress() (string, error) {
	for {
		listener, err := net.Listen("tcp", loopback+":0")
		if err != nil {
			return "", err
		}
		address := listener.Addr().String()
		listener.Close()
		reserved, err := reserve(address)
		if err != nil || reserved {
			return address, err
		}
	}
}

// reserve locks a file named after the address for as long as this process lives, and
// says whether it was free.
func reserve(address string) (bool, error) {
	directory := filepath.Join(os.TempDir(), "kubernetes-test-ports")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return false, err
	}
	descriptor, err := syscall.Open(filepath.Join(directory, address), syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return false, err
	}
	if err := syscall.Flock(descriptor, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		syscall.Close(descriptor)
		return false, nil
	}
	return true, nil
}
