// Package loopback finds places on this machine's loopback interface for the servers that tests start.
package loopback

import (
	"fmt"
	"net"
)

// Host is the loopback interface's address.
const Host = "127.0.0.1"

// FreePort is a port that nobody listened on a moment ago, for a server that has to be told its port.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", Host+":0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
