package loopback_test

import (
	"net"
	"strconv"
	"testing"

	"payments-dr/internal/simulation/loopback"
)

// A port that is waiting for its server must not be one that a system gives to somebody else meanwhile.
func TestFreePortIsGivenToNobodyElse(t *testing.T) {
	seen := map[int]bool{}
	for range 200 {
		port, err := loopback.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if port < 1024 || port >= 32768 {
			t.Fatalf("port %d", port)
		}
		if seen[port] {
			t.Fatalf("port %d was given before, and is listened on", port)
		}
		seen[port] = true
		listener, err := net.Listen("tcp", net.JoinHostPort(loopback.Host, strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
	}
}
