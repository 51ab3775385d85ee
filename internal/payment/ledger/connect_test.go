package ledger_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/variables"
	"payments-dr/internal/simulation/localmysql"
)

func TestConfigIsChecked(t *testing.T) {
	signer := credentials.NewStaticCredentialsProvider("simulated", "simulated", "")
	whole := ledger.Config{Host: "h", Port: 3306, User: "u", Database: "d", Region: "us-east-1", Credentials: signer}
	if l, err := ledger.Open(whole); err != nil {
		t.Fatal(err)
	} else {
		_ = l.Close()
	}
	for want, change := range map[string]func(*ledger.Config){
		"host is not set":       func(c *ledger.Config) { c.Host = "" },
		"port is 0":             func(c *ledger.Config) { c.Port = 0 },
		"port is 65536":         func(c *ledger.Config) { c.Port = 65536 },
		"user is not set":       func(c *ledger.Config) { c.User = "" },
		"name is not set":       func(c *ledger.Config) { c.Database = "" },
		"Region is not set":     func(c *ledger.Config) { c.Region = "" },
		"either credentials or": func(c *ledger.Config) { c.Password = "x" },
		"a password must be":    func(c *ledger.Config) { c.Credentials = nil },
		"a token needs TLS":     func(c *ledger.Config) { c.PlainText = true },
	} {
		config := whole
		change(&config)
		if _, err := ledger.Open(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want in it %q", err, want)
		}
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	signer := credentials.NewStaticCredentialsProvider("simulated", "simulated", "")
	t.Setenv(variables.DatabaseHost, "h")
	t.Setenv(variables.DatabasePort, "3307")
	t.Setenv(variables.DatabaseName, "d")
	t.Setenv(variables.DatabaseUser, "u")
	read := func() ledger.Config {
		config := ledger.ConfigFromEnvironment(variables.Read("ledger"), aws.Config{Region: "us-east-1", Credentials: signer})
		config.Host = "h"
		return config
	}
	want := ledger.Config{Host: "h", Port: 3307, User: "u", Database: "d", Region: "us-east-1", Credentials: signer}
	if config := read(); !reflect.DeepEqual(config, want) {
		t.Errorf("deployed: %+v", config)
	}
	t.Setenv(ledger.VariableTLS, "off")
	if _, err := ledger.Open(read()); err == nil {
		t.Error("tokens in plain text")
	}
	t.Setenv(ledger.VariablePassword, "p")
	want = ledger.Config{Host: "h", Port: 3307, User: "u", Database: "d", Region: "us-east-1", Password: "p", PlainText: true}
	if config := read(); !reflect.DeepEqual(config, want) {
		t.Errorf("local: %+v", config)
	}
	t.Setenv(variables.DatabasePort, "x")
	environment := variables.Read("ledger")
	ledger.ConfigFromEnvironment(environment, aws.Config{Region: "us-east-1", Credentials: signer})
	if err := environment.Err(); err == nil || !strings.Contains(err.Error(), `DATABASE_PORT is "x"`) {
		t.Errorf("error %v", err)
	}
}

func wantUnavailable(t *testing.T, l *ledger.Ledger, within time.Duration) {
	t.Helper()
	started := time.Now()
	_, err := l.Record(t.Context(), numbered(t, 3))
	if !errors.Is(err, ledger.ErrUnavailable) || errors.Is(err, ledger.ErrRefused) {
		t.Errorf("error %v, want it unavailable", err)
	}
	if took := time.Since(started); took > within {
		t.Errorf("took %s, longer than %s", took, within)
	}
}

func TestUnavailable(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, config ledger.Config) {
		t.Run("nobody there", func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			c := config
			c.Port = listener.Addr().(*net.TCPAddr).Port
			_ = listener.Close()
			wantUnavailable(t, open(t, c), time.Second)
		})
		t.Run("wrong password", func(t *testing.T) {
			c := config
			c.Password = "wrong"
			wantUnavailable(t, open(t, c), time.Second)
		})
		t.Run("no such database", func(t *testing.T) {
			c := config
			c.Database = "nowhere"
			wantUnavailable(t, open(t, c), time.Second)
		})
		t.Run("silent", func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			c := config
			c.Port = listener.Addr().(*net.TCPAddr).Port
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			started := time.Now()
			if _, err := open(t, c).Record(ctx, numbered(t, 1)); !errors.Is(err, ledger.ErrUnavailable) || time.Since(started) > 2*time.Second {
				t.Errorf("error %v after %s", err, time.Since(started))
			}
		})
		t.Run("no TLS to be had", func(t *testing.T) {
			c := config
			c.PlainText = false
			wantUnavailable(t, open(t, c), time.Second)
		})
		t.Run("reader", func(t *testing.T) {
			r := startRelay(t, net.JoinHostPort(server.Host, strconv.Itoa(server.Port)), func([]byte) (deliver, keep bool) { return true, true })
			c := config
			c.Port = r.port
			l := open(t, c)
			wantRecord(t, l, numbered(t, 2), 2, 0)
			setReadOnly(t, server, true)
			wantUnavailable(t, l, 2*time.Second)
			setReadOnly(t, server, false)
			wantRecord(t, l, numbered(t, 3), 1, 2)
			if n := r.connections.Load(); n != 3 {
				t.Errorf("%d connections, want a new one after each refused write, 3", n)
			}
		})
	})
}

func setReadOnly(t *testing.T, server *localmysql.Server, on bool) {
	t.Helper()
	if err := server.SetReadOnly(context.Background(), on); err != nil {
		t.Fatal(err)
	}
}

// relay stands between the ledger and its server, and can cut their connections.
type relay struct {
	port        int
	target      string
	connections atomic.Int32
	// cut sees what the client sends, connection by connection, and whether the server gets it; closing is on false.
	cut func(packet []byte) (deliver, keep bool)
}

func startRelay(t *testing.T, target string, cut func([]byte) (deliver, keep bool)) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{port: listener.Addr().(*net.TCPAddr).Port, target: target, cut: cut}
	var group sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); group.Wait() })
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			r.connections.Add(1)
			group.Go(func() { r.serve(client) })
		}
	})
	return r
}

func (r *relay) serve(client net.Conn) {
	server, err := net.Dial("tcp", r.target)
	if err != nil {
		_ = client.Close()
		return
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		buffer := make([]byte, 1<<16)
		for {
			n, err := server.Read(buffer)
			if n > 0 {
				_, _ = client.Write(buffer[:n])
			}
			if err != nil {
				_ = client.Close()
				return
			}
		}
	}()
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			break
		}
		deliver, keep := r.cut(buffer[:n])
		if !keep {
			_ = client.Close() // first, so that no answer comes through
		}
		if deliver {
			_, _ = server.Write(buffer[:n])
		}
		if !keep {
			break
		}
	}
	if half, ok := server.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, client)
	<-answered
	_ = server.Close()
}

// A connection that breaks in the middle of a batch, before or after the server has committed, costs nothing.
func TestConnectionBreaks(t *testing.T) {
	everywhere(t, func(t *testing.T, server *localmysql.Server, config ledger.Config) {
		for _, tt := range []struct {
			statement           string
			delivered           bool
			recorded, duplicate int
		}{
			{"SELECT * FROM payments", false, 10, 0},
			{"INSERT INTO payments", false, 10, 0},
			{"COMMIT", false, 10, 0},
			{"COMMIT", true, 0, 10}, // and only its answer was lost
		} {
			t.Run(tt.statement, func(t *testing.T) {
				config := newDatabase(t, server)
				var cuts atomic.Int32
				r := startRelay(t, net.JoinHostPort(server.Host, strconv.Itoa(server.Port)), func(packet []byte) (deliver, keep bool) {
					if len(packet) > 5 && strings.HasPrefix(string(packet[5:]), tt.statement) && cuts.Add(1) == 1 {
						return tt.delivered, false
					}
					return true, true
				})
				direct := open(t, config)
				config.Port = r.port
				result, err := open(t, config).Record(t.Context(), numbered(t, 10))
				if err != nil {
					t.Fatal(err)
				}
				if cuts.Load() == 0 {
					t.Fatal("nothing was cut")
				}
				if result.Recorded != tt.recorded || result.Duplicates != tt.duplicate {
					t.Errorf("result %+v", result)
				}
				wantStored(t, direct, numbered(t, 10)...)
			})
		}
		t.Run("for good", func(t *testing.T) {
			var began atomic.Int32
			r := startRelay(t, net.JoinHostPort(server.Host, strconv.Itoa(server.Port)), func(packet []byte) (deliver, keep bool) {
				if len(packet) > 5 && strings.HasPrefix(string(packet[5:]), "SELECT * FROM payments") {
					began.Add(1)
					return false, false
				}
				return true, true
			})
			config := config
			config.Port = r.port
			wantUnavailable(t, open(t, config), 2*time.Second)
			if began.Load() != 2 {
				t.Errorf("%d attempts, want 2", began.Load())
			}
		})
	})
}

// A server that is killed in the middle of its work and comes back has every payment that Record said it has.
func TestServerIsKilled(t *testing.T) {
	if os.Getenv(localmysql.MariaDBVariable) != "1" {
		t.Skip("the embedded server cannot be killed; set " + localmysql.MariaDBVariable + "=1")
	}
	server, err := localmysql.StartMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	l, all := open(t, newDatabase(t, server)), numbered(t, 5000)
	var confirmed []payment.Payment
	recorded := make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		for start := 0; start < len(all); start += 50 {
			if _, err := l.Record(context.Background(), all[start:start+50]); err != nil {
				failed <- err
				return
			}
			confirmed = all[:start+50]
			if start == 500 {
				close(recorded)
			}
		}
		failed <- nil
	}()
	<-recorded
	server.Kill()
	if err := <-failed; !errors.Is(err, ledger.ErrUnavailable) {
		t.Fatalf("error %v", err)
	}
	wantUnavailable(t, l, time.Second)
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	found, err := l.Find(t.Context(), identities(confirmed))
	if err != nil || len(found) != len(confirmed) {
		t.Fatalf("%d of %d confirmed payments are there, %v", len(found), len(confirmed), err)
	}
	if _, err := l.Record(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	wantStored(t, l, all...)
}

// tokenServer is a simulated server that speaks TLS with a certificate of its own, asks for the password in clear, as IAM
// authentication does, and lets nobody in. It tells what it hears of each connection.
func tokenServer(t *testing.T) (port int, authority *x509.Certificate, heard <-chan string, failed <-chan error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(crand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if authority, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	hears, fails := make(chan string, 10), make(chan error, 10)
	serve := func(connection net.Conn) error {
		defer connection.Close()
		greeting := "\x0a8.0.39\x00\x01\x00\x00\x0012345678\x00\xff\xff\xff\x02\x00\xff\xff\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00123456789012\x00mysql_clear_password\x00"
		if _, err := connection.Write(append([]byte{byte(len(greeting)), 0, 0, 0}, greeting...)); err != nil {
			return err
		}
		request := make([]byte, 36) // the request for TLS: 32 bytes and their header
		if _, err := io.ReadFull(connection, request); err != nil {
			return err
		}
		secured := tls.Server(connection, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
		if err := secured.Handshake(); err != nil {
			return err
		}
		header := make([]byte, 4)
		if _, err := io.ReadFull(secured, header); err != nil {
			return err
		}
		login := make([]byte, int(header[0])|int(header[1])<<8)
		if _, err := io.ReadFull(secured, login); err != nil {
			return err
		}
		hears <- string(login)
		const denied = "\xff\x15\x04#28000Access denied"
		_, err := secured.Write(append([]byte{byte(len(denied)), 0, 0, header[3] + 1}, denied...))
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if err := serve(connection); err != nil {
				fails <- err
			}
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port, authority, hears, fails
}

// signer counts how often it is asked to sign.
type signer struct{ asked atomic.Int32 }

func (s *signer) Retrieve(context.Context) (aws.Credentials, error) {
	s.asked.Add(1)
	return aws.Credentials{AccessKeyID: "simulated", SecretAccessKey: "simulated", SessionToken: "simulated"}, nil
}

func TestEachConnectionHasAToken(t *testing.T) {
	port, authority, heard, _ := tokenServer(t)
	ledger.Trust(t, authority)
	s := &signer{}
	l := open(t, ledger.Config{Host: "localhost", Port: port, User: ledger.UserName, Database: "payments", Region: "us-west-2", Credentials: s})
	if s.asked.Load() != 0 {
		t.Error("a token was signed before there was a connection")
	}
	for n := range int32(2) {
		_, err := l.Record(t.Context(), numbered(t, 1))
		if !errors.Is(err, ledger.ErrUnavailable) || !strings.Contains(err.Error(), "Access denied") {
			t.Fatalf("error %v", err)
		}
		login := <-heard
		for _, part := range []string{
			ledger.UserName + "\x00", "localhost:" + strconv.Itoa(port) + "?Action=connect&DBUser=payments_ledger&", "X-Amz-Expires=900",
			"%2Fus-west-2%2Frds-db%2Faws4_request", "X-Amz-Security-Token=simulated", "X-Amz-Signature=",
		} {
			if !strings.Contains(login, part) {
				t.Errorf("login %q, want in it %q", login, part)
			}
		}
		if s.asked.Load() != n+1 {
			t.Errorf("%d tokens for %d connections", s.asked.Load(), n+1)
		}
	}
}

// A server that RDS did not certify hears no token.
func TestTokenIsNotToldToAnyone(t *testing.T) {
	port, _, heard, failed := tokenServer(t)
	l := open(t, ledger.Config{Host: "localhost", Port: port, User: ledger.UserName, Database: "payments", Region: "us-east-1", Credentials: &signer{}})
	_, err := l.Record(t.Context(), numbered(t, 1))
	if _, unknown := errors.AsType[*tls.CertificateVerificationError](err); !unknown || !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("error %v, want the certificate refused", err)
	}
	select {
	case <-failed:
	case login := <-heard:
		t.Errorf("the server heard %q", login)
	}
}
