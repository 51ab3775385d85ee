package localmysql

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"payments-dr/internal/simulation/loopback"
)

// ErrNotInstalled is a MariaDB that is not there. On Debian it is the package mariadb-server.
var ErrNotInstalled = errors.New("mariadbd is not installed")

// administrator is a user who may do what the master user may not: write to a server that is read-only, and replicate. It
// stands for Aurora itself.
const administrator = "administrator"

// mariaDB is what makes a Server a MariaDB.
type mariaDB struct {
	directory string
	// number tells servers of one Installation apart in what they replicate; 0 is a server that does not.
	number  uint32
	command *exec.Cmd
	tether  io.Closer
}

// tethered runs a program until it ends or standard input does, which is when this process has ended, in whatever way.
const tethered = `exec 3<&0; "$@" </dev/null & server=$!; (cat <&3 >/dev/null; kill -9 $server) & wait $server`

// Installation is the data of a new MariaDB. Servers start with a copy of it, which takes a tenth of the time.
type Installation struct {
	directory string
	servers   atomic.Uint32
}

// InstallMariaDB makes an installation. The error is ErrNotInstalled if the machine has no MariaDB.
func InstallMariaDB() (*Installation, error) {
	_, program, err := programs()
	if err != nil {
		return nil, err
	}
	i := &Installation{}
	if i.directory, err = os.MkdirTemp("", "mariadb"); err != nil {
		return nil, fmt.Errorf("install MariaDB's tables: %w", err)
	}
	command := exec.Command(program, append(options(i.directory), "--auth-root-authentication-method=normal", "--skip-test-db")...)
	if out, err := command.CombinedOutput(); err != nil {
		i.Close()
		return nil, fmt.Errorf("install MariaDB's tables: %w\n%s", err, out)
	}
	return i, nil
}

// Close removes the installation. Servers that were started from it go on.
func (i *Installation) Close() { _ = os.RemoveAll(i.directory) }

// Start starts a new, empty server on a port of the loopback interface, that can be replicated.
func (i *Installation) Start() (*Server, error) { return i.start(i.servers.Add(1)) }

func (i *Installation) start(number uint32) (*Server, error) {
	directory, err := os.MkdirTemp("", "mariadb")
	if err != nil {
		return nil, fmt.Errorf("start mariadbd: %w", err)
	}
	s := &Server{Host: host, InnoDB: true, mariaDB: &mariaDB{directory: directory, number: number}}
	if err := i.prepare(directory); err != nil {
		s.Close()
		return nil, fmt.Errorf("start mariadbd: %w", err)
	}
	if err := s.Restart(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// prepare copies the installation, and writes what the server runs when it starts first. That is not replicated: each has it.
func (i *Installation) prepare(directory string) error {
	if err := os.CopyFS(filepath.Join(directory, "data"), os.DirFS(filepath.Join(i.directory, "data"))); err != nil {
		return err
	}
	statements := "SET sql_log_bin = 0;\n" +
		"CREATE USER '" + User + "'@'%' IDENTIFIED BY '" + Password + "';\n" +
		"GRANT ALL PRIVILEGES ON *.* TO '" + User + "'@'%' WITH GRANT OPTION;\n" +
		"REVOKE READ ONLY ADMIN ON *.* FROM '" + User + "'@'%';\n" + // nobody writes to a reader
		"CREATE USER '" + administrator + "'@'%' IDENTIFIED BY '" + Password + "';\n" +
		"GRANT ALL PRIVILEGES ON *.* TO '" + administrator + "'@'%';\n" +
		"DROP USER IF EXISTS ''@'localhost';\n"
	if hostname, err := os.Hostname(); err == nil {
		statements += "DROP USER IF EXISTS ''@'" + hostname + "';\n"
	}
	return os.WriteFile(filepath.Join(directory, "init.sql"), []byte(statements), 0o600)
}

// StartMariaDB starts a new, empty MariaDB on a port of the loopback interface. The error is ErrNotInstalled if the machine has
// none.
func StartMariaDB() (*Server, error) {
	i, err := InstallMariaDB()
	if err != nil {
		return nil, err
	}
	defer i.Close()
	return i.start(0)
}

func programs() (server, installer string, err error) {
	if server, err = lookPath("mariadbd"); err != nil {
		return "", "", fmt.Errorf("find mariadbd: %w", ErrNotInstalled)
	}
	if installer, err = lookPath("mariadb-install-db"); err != nil {
		return "", "", fmt.Errorf("find mariadb-install-db: %w", ErrNotInstalled)
	}
	return server, installer, nil
}

// lookPath also finds what only root's path has.
func lookPath(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", program))
}

// options keep a server from this machine's configuration and from other servers' temporary tables, all of which a server deletes
// from the directory that it is to use when it starts. Its redo log is small enough to be copied often.
func options(directory string) []string {
	options := []string{"--no-defaults", "--datadir=" + filepath.Join(directory, "data"), "--tmpdir=" + directory, "--innodb-log-file-size=16M"}
	if os.Geteuid() == 0 {
		options = append(options, "--user=root")
	}
	return options
}

// Restart starts a MariaDB that Kill ended, with the data that it had, on the same port.
func (s *Server) Restart() error {
	program, _, err := programs()
	if err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(s.mariaDB.directory, name) }
	// Not strict, and not in UTC: what the ledger needs it must ask for, or do without.
	options := append(options(s.mariaDB.directory), "--sql-mode=", "--default-time-zone=+05:00", "--bind-address="+host, "--skip-name-resolve",
		"--log-error="+in("error.log"), "--socket="+in("socket"), "--pid-file="+in("pid"))
	if s.mariaDB.number != 0 {
		options = append(options, replicationOptions(s.mariaDB.number)...)
	}
	if s.Port == 0 {
		if s.Port, err = loopback.FreePort(); err != nil {
			return err
		}
		options = append(options, "--init-file="+in("init.sql"))
	}
	m := s.mariaDB
	m.command = exec.Command("sh", append([]string{"-c", tethered, program, program}, append(options, "--port="+strconv.Itoa(s.Port))...)...)
	if m.tether, err = m.command.StdinPipe(); err != nil {
		return fmt.Errorf("start mariadbd: %w", err)
	}
	if err := m.command.Start(); err != nil {
		return fmt.Errorf("start mariadbd: %w", err)
	}
	s.ended = make(chan struct{})
	go func(command *exec.Cmd, ended chan struct{}) {
		_ = command.Wait() // how it ended is in its log
		close(ended)
	}(m.command, s.ended)
	return s.wait()
}

// Kill ends a MariaDB at once, whatever it is doing. What it has committed is there after Restart.
func (s *Server) Kill() {
	_ = s.mariaDB.tether.Close()
	<-s.ended
}

func (m *mariaDB) complaints() string {
	log, err := os.ReadFile(filepath.Join(m.directory, "error.log"))
	if err != nil {
		return "without a log"
	}
	return string(log)
}
