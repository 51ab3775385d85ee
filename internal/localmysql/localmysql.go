// Package localmysql starts MySQL servers on this machine, for tests: one inside the process (go-mysql-server), which is there
// without an installation, and MariaDB, which is a real InnoDB.
//
// What both show: that the statements are MySQL's, that bytes and decimals come back as they went in, that a transaction is whole
// or nothing. What MariaDB alone shows: what concurrent transactions do to each other, which values the server refuses and with
// which error, all that a privilege allows, a server that turns read-only, and that what was committed survives the death of
// the server. The embedded server runs transactions one after the other, gives most errors no number, checks the simpler
// privileges, and its secondary indexes lead to wrong rows once a connection has died in the middle of a transaction.
//
// What neither shows, because it is Aurora's: IAM database authentication, the certificates and names of its endpoints, reader
// endpoints and the inactive writer endpoint of a secondary cluster, storage in three zones, replication between Regions and
// its lag, switchover and failover of a global database, parameter groups. A reader is imitated by the variable read_only.
package localmysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	gms "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	gmssql "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/go-sql-driver/mysql"
	"github.com/sirupsen/logrus"

	"payments-dr/internal/loopback"
)

const (
	// User and Password are the master user of every server.
	User     = "payments_master"
	Password = "simulated"

	host = loopback.Host
	// patience is how long a server may take to answer, or to end.
	patience = 60 * time.Second
)

// ErrNotInstalled is a MariaDB that is not there. On Debian it is the package mariadb-server.
var ErrNotInstalled = errors.New("mariadbd is not installed")

// Server is a running server.
type Server struct {
	Host string
	Port int
	// InnoDB tells that this is MariaDB: it has row locks, every privilege and the numbers of MySQL's errors, it heeds
	// read_only, and it can be killed and started again.
	InnoDB bool

	embedded *server.Server
	ended    chan struct{}

	directory string
	command   *exec.Cmd
	tether    io.Closer
	log       string
}

// tethered runs a program until it ends or standard input does, which is when this process has ended, in whatever way.
const tethered = `exec 3<&0; "$@" </dev/null & server=$!; (cat <&3 >/dev/null; kill -9 $server) & wait $server`

// overrideVariables teaches the embedded server what MySQL's own knows. The variables are the process's.
var overrideVariables = sync.OnceFunc(func() {
	logrus.SetLevel(logrus.FatalLevel) // it logs every connection, and every statement that it refuses
	gmssql.SystemVariables.AddSystemVariables([]gmssql.SystemVariable{&gmssql.MysqlSystemVariable{
		Name: "innodb_lock_wait_timeout", Scope: gmssql.GetMysqlScope(gmssql.SystemVariableScope_Both), Dynamic: true,
		Type: types.NewSystemIntType("innodb_lock_wait_timeout", 1, 1<<30, false), Default: int64(50),
	}})
})

// StartEmbedded starts a server inside this process, on a port of the loopback interface. It keeps everything in memory. Global
// variables, read_only among them, are those of all embedded servers of the process.
func StartEmbedded() (*Server, error) {
	overrideVariables()
	provider := memory.NewDBProvider()
	engine := gms.NewDefault(provider)
	users := engine.Analyzer.Catalog.MySQLDb
	users.SetEnabled(true)
	users.SetPersister(&mysql_db.NoopPersister{})
	editor := users.Editor()
	users.AddSuperUser(editor, User, "%", Password)
	editor.Close()
	s, err := server.NewServerWithHandler(server.Config{Protocol: "tcp", Address: host + ":0"}, engine, gmssql.NewContext,
		memory.NewSessionBuilder(provider), nil, newSerial)
	if err != nil {
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	started := &Server{Host: host, Port: s.Listener.Addr().(*net.TCPAddr).Port, embedded: s, ended: make(chan struct{})}
	go func() {
		_ = s.Start() // ends with Close
		close(started.ended)
	}()
	if err := started.wait(); err != nil {
		started.Close()
		return nil, err
	}
	return started, nil
}

// StartMariaDB starts a new, empty MariaDB on a port of the loopback interface. The error is ErrNotInstalled if the machine has
// none.
func StartMariaDB() (*Server, error) {
	for _, program := range []string{"mariadbd", "mariadb-install-db"} {
		if _, err := lookPath(program); err != nil {
			return nil, fmt.Errorf("find %s: %w", program, ErrNotInstalled)
		}
	}
	directory, err := os.MkdirTemp("", "mariadb")
	if err != nil {
		return nil, fmt.Errorf("start mariadbd: %w", err)
	}
	s := &Server{Host: host, InnoDB: true, directory: directory, log: filepath.Join(directory, "error.log")}
	if err := s.install(); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.Restart(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// lookPath also finds what only root's path has.
func lookPath(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", program))
}

// options keep a server from this machine's configuration.
func (s *Server) options() []string {
	options := []string{"--no-defaults", "--datadir=" + filepath.Join(s.directory, "data")}
	if os.Geteuid() == 0 {
		options = append(options, "--user=root")
	}
	return options
}

func (s *Server) install() error {
	program, err := lookPath("mariadb-install-db")
	if err != nil {
		return fmt.Errorf("find mariadb-install-db: %w", ErrNotInstalled)
	}
	command := exec.Command(program, append(s.options(), "--auth-root-authentication-method=normal", "--skip-test-db")...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("install MariaDB's tables: %w\n%s", err, out)
	}
	statements := "CREATE USER '" + User + "'@'%' IDENTIFIED BY '" + Password + "';\n" +
		"GRANT ALL PRIVILEGES ON *.* TO '" + User + "'@'%' WITH GRANT OPTION;\n" +
		"DROP USER IF EXISTS ''@'localhost';\n"
	hostname, err := os.Hostname()
	if err == nil {
		statements += "DROP USER IF EXISTS ''@'" + hostname + "';\n"
	}
	if err := os.WriteFile(filepath.Join(s.directory, "init.sql"), []byte(statements), 0o600); err != nil {
		return fmt.Errorf("install MariaDB's tables: %w", err)
	}
	return nil
}

// Restart starts a MariaDB that Kill ended, with the data that it had, on the same port.
func (s *Server) Restart() error {
	program, err := lookPath("mariadbd")
	if err != nil {
		return fmt.Errorf("find mariadbd: %w", ErrNotInstalled)
	}
	// Not strict, and not in UTC: what the ledger needs it must ask for, or do without.
	options := append(s.options(), "--sql-mode=", "--default-time-zone=+05:00", "--bind-address="+host, "--skip-name-resolve", "--log-error="+s.log,
		"--socket="+filepath.Join(s.directory, "socket"), "--pid-file="+filepath.Join(s.directory, "pid"))
	if s.Port == 0 {
		if s.Port, err = loopback.FreePort(); err != nil {
			return err
		}
		options = append(options, "--init-file="+filepath.Join(s.directory, "init.sql"))
	}
	s.command = exec.Command("sh", append([]string{"-c", tethered, program, program}, append(options, "--port="+strconv.Itoa(s.Port))...)...)
	if s.tether, err = s.command.StdinPipe(); err != nil {
		return fmt.Errorf("start mariadbd: %w", err)
	}
	if err := s.command.Start(); err != nil {
		return fmt.Errorf("start mariadbd: %w", err)
	}
	s.ended = make(chan struct{})
	go func(command *exec.Cmd, ended chan struct{}) {
		_ = command.Wait() // how it ended is in its log
		close(ended)
	}(s.command, s.ended)
	return s.wait()
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
			return fmt.Errorf("start server: it has ended: %s", s.complaints())
		case <-deadline:
			return fmt.Errorf("start server: no answer for %s: %w", patience, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) complaints() string {
	log, err := os.ReadFile(s.log)
	if err != nil {
		return "without a log"
	}
	return string(log)
}

// Open is a pool of connections as the master user. The database may be empty.
func (s *Server) Open(database string) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	config.User, config.Passwd, config.DBName = User, Password, database
	config.ParseTime, config.Timeout, config.Logger = true, 5*time.Second, &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("open server: %w", err)
	}
	return sql.OpenDB(connector), nil
}

// Exec runs statements as the master user.
func (s *Server) Exec(ctx context.Context, database string, statements ...string) error {
	pool, err := s.Open(database)
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

// Kill ends a MariaDB at once, whatever it is doing. What it has committed is there after Restart.
func (s *Server) Kill() {
	_ = s.tether.Close()
	<-s.ended
}

// Close ends the server; its data is gone.
func (s *Server) Close() {
	if s.embedded != nil {
		_ = s.embedded.Close()
		<-s.ended
		return
	}
	if s.command != nil && s.command.Process != nil {
		s.Kill()
	}
	_ = os.RemoveAll(s.directory)
}
