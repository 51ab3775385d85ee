package localmysql

import (
	"fmt"
	"os"
)

// MariaDBVariable is the environment variable that, set to 1, has tests run against MariaDB too.
const MariaDBVariable = "TEST_MARIADB"

// StartAll starts the embedded server and, if TEST_MARIADB is 1, MariaDB. That one was asked for, so that its absence is an
// error.
func StartAll() (servers map[string]*Server, closeAll func(), err error) {
	servers = map[string]*Server{}
	closeAll = func() {
		for _, s := range servers {
			s.Close()
		}
	}
	if servers["embedded"], err = StartEmbedded(); err != nil {
		return nil, nil, err
	}
	if os.Getenv(MariaDBVariable) != "1" {
		return servers, closeAll, nil
	}
	mariadb, err := StartMariaDB()
	if err != nil {
		closeAll()
		return nil, nil, fmt.Errorf("%s=1: %w", MariaDBVariable, err)
	}
	servers["mariadb"] = mariadb
	return servers, closeAll, nil
}

// Main is the body of a TestMain whose tests want the servers of StartAll: it runs them, and ends the process.
func Main(tests interface{ Run() int }, servers *map[string]*Server) {
	started, closeAll, err := StartAll()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	*servers = started
	code := tests.Run()
	closeAll()
	os.Exit(code)
}
