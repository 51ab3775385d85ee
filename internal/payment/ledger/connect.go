package ledger

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
	"github.com/go-sql-driver/mysql"

	"payments-dr/internal/payment/ledger/rdscertificates"
	"payments-dr/internal/payment/variables"
)

// certificateAuthorities are whom connections trust.
var certificateAuthorities = rdscertificates.Pool

const (
	// DefaultPort is the port of a MySQL server.
	DefaultPort = 3306
	// UserName is the database user of the functions that read the ledger and add to it. The migrations make it.
	UserName = "payments_ledger"
	// DatabaseName is the schema that holds the ledger.
	DatabaseName = "payments"

	// maxConnections bounds the connections of one process. A function works on one batch at a time; the second connection is
	// for what runs beside it.
	maxConnections = 2
	// maxConnectionLifetime ends connections although they are good. A cluster's endpoint is a DNS name that a failover moves to
	// another address; a process that keeps its connection never looks again ("Cluster endpoints for Amazon Aurora", Amazon
	// Aurora User Guide).
	maxConnectionLifetime = 3 * time.Minute
	// dialTimeout bounds reaching the server.
	dialTimeout = 3 * time.Second
	// defaultStatementTimeout is longer than lockWait, so that a lock is given up by the server, which says so, before the
	// connection is given up by us.
	defaultStatementTimeout = 10 * time.Second
	// lockWait is how long a statement waits for the row of another transaction, in seconds. MySQL's own 50 s are longer than a
	// batch may take.
	lockWait = "5"
)

// Config says where the ledger is and who asks. Credentials or Password must be set, and not both.
type Config struct {
	// Host is the cluster's endpoint.
	Host string
	// Port is from 1 to 65535.
	Port     int
	User     string
	Database string

	// Region is where the cluster is; IAM authentication needs it.
	Region string
	// Credentials sign a token for each new connection (IAM database authentication). A token is signed here, without a
	// call, and is good for 15 minutes ("IAM database authentication", Amazon Aurora User Guide); a connection outlives it.
	Credentials aws.CredentialsProvider
	// Password is the user's own: the master user's, or a test's.
	Password string

	// PlainText leaves out TLS. It is for servers on this machine, and refused together with Credentials: a token would be
	// readable on the way.
	PlainText bool
	// StatementTimeout is how long the server may be silent over a statement. Zero is 10 s. Contexts end statements earlier.
	StatementTimeout time.Duration
}

// These environment variables exist for tests and for runs on one's own machine. No template sets them: what is deployed signs
// tokens and speaks TLS.
const (
	VariablePassword = "DATABASE_PASSWORD"
	// VariableTLS is "off" for a server that does not speak TLS.
	VariableTLS = "DATABASE_TLS"
)

// ConfigFromEnvironment is the configuration of a function, without the host. The credentials and the Region are the function's own.
func ConfigFromEnvironment(environment *variables.Environment, awsConfig aws.Config) Config {
	config := Config{
		Port: environment.Number(variables.DatabasePort, 1, 65535),
		User: environment.Text(variables.DatabaseUser), Database: environment.Text(variables.DatabaseName),
		Region: awsConfig.Region, Credentials: awsConfig.Credentials, PlainText: os.Getenv(VariableTLS) == "off",
	}
	if password := os.Getenv(VariablePassword); password != "" {
		config.Password, config.Credentials = password, nil
	}
	return config
}

func (c Config) check() error {
	var faults []error
	if c.Host == "" {
		faults = append(faults, errors.New("the database's host is not set"))
	}
	if c.Port < 1 || c.Port > 65535 {
		faults = append(faults, fmt.Errorf("the database's port is %d; allowed are 1 to 65535", c.Port))
	}
	if c.User == "" {
		faults = append(faults, errors.New("the database's user is not set"))
	}
	if c.Database == "" {
		faults = append(faults, errors.New("the database's name is not set"))
	}
	if (c.Credentials == nil) == (c.Password == "") {
		faults = append(faults, errors.New("either credentials or a password must be set"))
	}
	if c.Credentials != nil && c.Region == "" {
		faults = append(faults, errors.New("the database's Region is not set"))
	}
	if c.Credentials != nil && c.PlainText {
		faults = append(faults, errors.New("a token needs TLS"))
	}
	return errors.Join(faults...)
}

// OpenDatabase makes a pool of at most two connections to the ledger's database. It opens none: nothing goes over the network
// before the first statement. The error is one of the configuration.
func OpenDatabase(config Config) (*sql.DB, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	c := mysql.NewConfig()
	c.Net, c.Addr = "tcp", net.JoinHostPort(config.Host, strconv.Itoa(config.Port))
	c.User, c.Passwd, c.DBName = config.User, config.Password, config.Database
	c.ParseTime, c.Loc = true, time.UTC
	c.Timeout, c.ReadTimeout, c.WriteTimeout = dialTimeout, defaultStatementTimeout, defaultStatementTimeout
	if config.StatementTimeout > 0 {
		c.ReadTimeout = config.StatementTimeout
	}
	// A writer that was demoted answers writes with an error and keeps the connection; the driver then closes it, so that the
	// next one is opened to where the endpoint leads now.
	c.RejectReadOnly = true
	// The driver writes parameters into the statement instead of preparing it, one round trip instead of three. That is safe
	// with utf8mb4, the driver's character set, and not with the multi-byte sets that it refuses.
	c.InterpolateParams = true
	// The errors that the driver logs are the ones that it returns.
	c.Logger = &mysql.NopLogger{}
	c.Params = map[string]string{
		// Whatever the parameter group says: a server that is not strict cuts short what does not fit, and stores it.
		"sql_mode":                 "'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
		"innodb_lock_wait_timeout": lockWait,
	}
	// The token of IAM authentication is sent as it is, over TLS: the server hands it to a service that checks it.
	c.AllowCleartextPasswords = config.Credentials != nil
	if err := c.Apply(mysql.BeforeConnect(func(ctx context.Context, c *mysql.Config) error {
		if !config.PlainText {
			authorities, err := certificateAuthorities()
			if err != nil {
				return err
			}
			c.TLS = &tls.Config{RootCAs: authorities, ServerName: config.Host, MinVersion: tls.VersionTLS12}
		}
		if config.Credentials != nil {
			token, err := auth.BuildAuthToken(ctx, c.Addr, config.Region, config.User, config.Credentials)
			if err != nil {
				return fmt.Errorf("sign token: %w", err)
			}
			c.Passwd = token
		}
		return nil
	})); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	database := sql.OpenDB(connector)
	database.SetMaxOpenConns(maxConnections)
	database.SetMaxIdleConns(maxConnections)
	database.SetConnMaxLifetime(maxConnectionLifetime)
	return database, nil
}
