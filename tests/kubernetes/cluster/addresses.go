package cluster

import (
	"net"
	"net/url"
)

// splitAddress splits a host:port that this test made itself.
func splitAddress(address string) (host, port string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(err)
	}
	return host, port
}

// addressOf is the host:port of a URL.
func addressOf(endpoint string) string {
	parsed, err := url.Parse(endpoint)
	if err != nil {
		panic(err)
	}
	return parsed.Host
}
