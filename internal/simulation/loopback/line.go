package loopback

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// Line is the way to a server over TCP, of which clients know the beginning alone. It can be cut, and be led elsewhere.
type Line struct {
	carry    func(client, server net.Conn)
	listener net.Listener
	mu       sync.Mutex
	server   string
	down     bool
	open     map[net.Conn]bool
	running  sync.WaitGroup
}

// NewLine is a line to a server's address.
func NewLine(server string) (*Line, error) { return NewLineWith(server, carry) }

// NewLineWith is a line whose connections are carried by a function: it returns when either end is closed, and has closed both.
func NewLineWith(server string, carry func(client, server net.Conn)) (*Line, error) {
	listener, err := net.Listen("tcp", Host+":0")
	if err != nil {
		return nil, fmt.Errorf("lay line: %w", err)
	}
	l := &Line{carry: carry, server: server, listener: listener, open: map[net.Conn]bool{}}
	l.running.Go(l.accept)
	return l, nil
}

// Port is where the line begins, on the loopback interface.
func (l *Line) Port() int { return l.listener.Addr().(*net.TCPAddr).Port }

// SetDown cuts the line, or mends it: open connections break, and new ones end at once.
func (l *Line) SetDown(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	if down {
		l.breakOpen()
	}
}

// Break breaks the open connections. New ones are carried.
func (l *Line) Break() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breakOpen()
}

// SetServer leads new connections to another server, and breaks the open ones.
func (l *Line) SetServer(server string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = server
	l.breakOpen()
}

func (l *Line) breakOpen() {
	for connection := range l.open {
		_ = connection.Close()
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
		l.running.Go(func() { l.connect(client) })
	}
}

func (l *Line) connect(client net.Conn) {
	defer client.Close()
	address, kept := l.keep(client)
	if !kept {
		return
	}
	defer l.forget(client)
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	if now, kept := l.keep(server); !kept || now != address {
		return
	}
	defer l.forget(server)
	l.carry(client, server)
}

// carry takes to each end what the other sends.
func carry(client, server net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
	both.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
	both.Wait()
}

// keep remembers a connection and tells where the line leads, or says that it is cut.
func (l *Line) keep(connection net.Conn) (server string, kept bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return "", false
	}
	l.open[connection] = true
	return l.server, true
}

func (l *Line) forget(connection net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, connection)
}
