// Package localmysql starts MySQL servers on this machine, for tests: one inside the process (go-mysql-server), which is there
// without an installation, and MariaDB, which is a real InnoDB.
//
// What both show: that the statements are MySQL's, that bytes and decimals come back as they went in, that a transaction is whole
// or nothing, that a server which turns read-only refuses writes. What MariaDB alone shows: what concurrent transactions do to
// each other, which values the server refuses and with which error, all that a privilege allows, and that what was committed
// survives the death of the server. The embedded server runs transactions one after the other, gives most errors no number,
// checks the simpler privileges, and its secondary indexes lead to wrong rows once a connection has died in the middle of a
// transaction.
//
// Two servers can be replicated, see Replicate: MariaDB by its own replication, the embedded server by one that is simulated.
//
// What neither shows, because it is Aurora's: IAM database authentication, the certificates and names of its endpoints, reader
// endpoints and the inactive writer endpoint of a secondary cluster, storage in three zones, replication by storage, parameter
// groups. A reader is imitated by the variable read_only. A global database of two servers is in package globaldatabase.
package localmysql

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"payments-dr/internal/simulation/loopback"
)

const (
	// User and Password are the master user of every server.
	User     = "payments_master"
	Password = "simulated"

	host = loopback.Host
	// patience is how long a server may take to answer, or to end.
	patience = 60 * time.Second
)

// Server is a running server.
type Server struct {
	Host string
	Port int
	// InnoDB tells that this is MariaDB: it has row locks, every privilege and the numbers of MySQL's errors, and it can be
	// killed and started again.
	InnoDB bool

	ended chan struct{}
	// One of the two is set.
	embedded *embedded
	mariaDB  *mariaDB
}

// wait returns when the server answers.
func (s *Server) wait() error {
	database, err := s.Open("")
	if err != nil {
		return err
	}
	defer database.Close()
	deadline := time.After(patience)
	for {
		if err = database.Ping(); err == nil {
			return nil
		}
		select {
		case <-s.ended:
			if s.mariaDB != nil {
				err = fmt.Errorf("%w: %s", err, s.mariaDB.complaints())
			}
			return fmt.Errorf("start server: it has ended: %w", err)
		case <-deadline:
			return fmt.Errorf("start server: no answer for %s: %w", patience, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Address is the server's, as host:port.
func (s *Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Open is a pool of connections as the master user. The database may be empty.
func (s *Server) Open(database string) (*sql.DB, error) { return open(s.Address, User, database) }

// OpenAt is a pool of connections as the master user of whichever server is at an address when a connection is opened.
func OpenAt(address func() string, database string) (*sql.DB, error) {
	return open(address, User, database)
}

func open(address func() string, user, database string) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", address()
	config.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address())
	}
	config.User, config.Passwd, config.DBName = user, Password, database
	config.ParseTime, config.Timeout, config.Logger = true, 5*time.Second, &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("open server: %w", err)
	}
	return sql.OpenDB(connector), nil
}

// Exec runs statements as the master user.
func (s *Server) Exec(ctx context.Context, database string, statements ...string) error {
	return s.exec(ctx, User, database, statements...)
}

func (s *Server) exec(ctx context.Context, user, database string, statements ...string) error {
	pool, err := open(s.Address, user, database)
	if err != nil {
		return err
	}
	defer pool.Close()
	for _, statement := range statements {
		if _, err := pool.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(strings.Fields(statement)[0]), err)
		}
	}
	return nil
}

// SetReadOnly makes the server a reader, to which nobody can write, the master user included; or a writer again. When it returns,
// nothing is being written any more: a transaction that is open then cannot be committed.
func (s *Server) SetReadOnly(ctx context.Context, on bool) error {
	statement := "SET GLOBAL read_only = 0"
	if on {
		statement = "SET GLOBAL read_only = 1"
	}
	return s.exec(ctx, s.administrator(), "", statement)
}

func (s *Server) administrator() string {
	if s.mariaDB != nil {
		return administrator
	}
	return User
}

// Close ends the server; its data is gone.
func (s *Server) Close() {
	if s.embedded != nil {
		_ = s.embedded.server.Close()
		<-s.ended
		return
	}
	if s.mariaDB.command != nil && s.mariaDB.command.Process != nil {
		s.Kill()
	}
	_ = os.RemoveAll(s.mariaDB.directory)
}
