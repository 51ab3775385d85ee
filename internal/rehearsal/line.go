package rehearsal

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// Line is a TCP connection to a server that can be cut: open connections break, new ones are refused.
type Line struct {
	server   string
	listener net.Listener
	mu       sync.Mutex
	down     bool
	open     map[net.Conn]bool
	running  sync.WaitGroup
}

// NewLine is a line to a server's address.
func NewLine(server string) (*Line, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("lay line: %w", err)
	}
	l := &Line{server: server, listener: listener, open: map[net.Conn]bool{}}
	l.running.Go(l.accept)
	return l, nil
}

// Port is where the line begins, on the loopback interface.
func (l *Line) Port() int { return l.listener.Addr().(*net.TCPAddr).Port }

// SetDown cuts the line, or mends it.
func (l *Line) SetDown(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	if down {
		for connection := range l.open {
			_ = connection.Close()
		}
	}
}

// Close ends the line.
func (l *Line) Close() {
	_ = l.listener.Close()
	l.SetDown(true)
	l.running.Wait()
}

func (l *Line) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() { l.carry(client) })
	}
}

func (l *Line) carry(client net.Conn) {
	defer client.Close()
	if !l.keep(client) {
		return
	}
	defer l.forget(client)
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer server.Close()
	if !l.keep(server) {
		return
	}
	defer l.forget(server)
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
	both.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
	both.Wait()
}

// keep remembers a connection, or says that the line is cut.
func (l *Line) keep(connection net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.down {
		l.open[connection] = true
	}
	return !l.down
}

func (l *Line) forget(connection net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, connection)
}
