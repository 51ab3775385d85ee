// Package loopback finds places on this machine's loopback interface for the servers that tests start.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Host is the loopback interface's address.
const Host = "127.0.0.1"

// Ports that FreePort chooses among. They lie below those that a system gives to connections and to whoever listens on any port
// (Linux from 32768 on, macOS and Windows from 49152 on): any connection that is opened before the server listens, or while it is
// down, could have one of those.
const (
	lowestPort  = 20_000
	highestPort = 32_000
)

// FreePort is a port that nobody listened on a moment ago, for a server that has to be told its port.
func FreePort() (int, error) {
	var err error
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		var listener net.Listener
		if listener, err = net.Listen("tcp", net.JoinHostPort(Host, strconv.Itoa(port))); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("find a free port from %d to %d: %w", lowestPort, highestPort, err)
}
