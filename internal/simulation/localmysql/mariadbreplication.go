package localmysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"payments-dr/internal/simulation/loopback"
)

// replicationOptions are those of servers that can be replicated. What is committed survives the death of the server, not that
// of the machine: it is written, and not waited for until it is on the disk.
func replicationOptions(number uint32) []string {
	return []string{
		"--server-id=" + strconv.FormatUint(uint64(number), 10), "--gtid-strict-mode=1", "--log-bin=binlog", "--binlog-format=ROW",
		"--log-slave-updates=1", "--relay-log=relay", "--skip-slave-start", "--slave-net-timeout=31536000", // silence is lag
		"--sync-binlog=0", "--sync-relay-log=0", "--sync-master-info=0", "--sync-relay-log-info=0", "--innodb-flush-log-at-trx-commit=2",
	}
}

// mariaDBReplication is MariaDB's own, over a line.
type mariaDBReplication struct {
	from, to *sql.DB
	wire     *wire
	line     *loopback.Line
	mu       sync.Mutex
	cut      bool
}

func replicateMariaDB(ctx context.Context, from, to *Server) (Replication, error) {
	r := &mariaDBReplication{wire: &wire{changed: sync.NewCond(&sync.Mutex{})}}
	var err error
	if r.line, err = loopback.NewLineWith(from.Address(), r.wire.carry); err != nil {
		return nil, err
	}
	if r.from, err = open(from.Address, administrator, ""); err == nil {
		if r.to, err = open(to.Address, administrator, ""); err == nil {
			err = r.start(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("replicate: %w", err), r.close())
	}
	return r, nil
}

func (r *mariaDBReplication) start(ctx context.Context) error {
	for _, statement := range []string{
		// A server that was a writer goes on from what it has written.
		"SET GLOBAL gtid_slave_pos = @@gtid_binlog_pos",
		"CHANGE MASTER TO MASTER_HOST='" + host + "', MASTER_PORT=" + strconv.Itoa(r.line.Port()) +
			", MASTER_USER='" + administrator + "', MASTER_PASSWORD='" + Password + "', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1",
		"START SLAVE",
	} {
		if _, err := r.to.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (r *mariaDBReplication) close() error {
	r.line.Close()
	var faults []error
	for _, pool := range []*sql.DB{r.from, r.to} {
		if pool != nil {
			faults = append(faults, pool.Close())
		}
	}
	return errors.Join(faults...)
}

func (r *mariaDBReplication) SetLag(lag time.Duration) { r.wire.setLag(lag) }

func (r *mariaDBReplication) SetCut(ctx context.Context, cut bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cut == r.cut {
		return nil
	}
	r.cut = cut
	r.line.SetDown(cut)
	if cut {
		return nil
	}
	// By itself it would try again within a second.
	for _, statement := range []string{"STOP SLAVE IO_THREAD", "START SLAVE IO_THREAD"} {
		if _, err := r.to.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("mend replication: %w", err)
		}
	}
	return nil
}

func (r *mariaDBReplication) isCut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cut
}

func (r *mariaDBReplication) Wait(ctx context.Context) error {
	var position string
	if err := r.from.QueryRowContext(ctx, "SELECT @@gtid_binlog_pos").Scan(&position); err != nil {
		return fmt.Errorf("wait for replication: %w", err)
	}
	for {
		arrived, err := r.waitFor(ctx, position, 100*time.Millisecond)
		switch {
		case err != nil:
			return fmt.Errorf("wait for replication: %w", err)
		case arrived:
			return nil
		case r.isCut():
			return fmt.Errorf("wait for replication: %w", ErrCut)
		}
		if err := r.Check(ctx); err != nil {
			return err
		}
	}
}

// waitFor waits for some time for a position to be applied.
func (r *mariaDBReplication) waitFor(ctx context.Context, position string, limit time.Duration) (arrived bool, err error) {
	if position == "" {
		return true, nil
	}
	var outcome int
	if err := r.to.QueryRowContext(ctx, "SELECT MASTER_GTID_WAIT(?, ?)", position, limit.Seconds()).Scan(&outcome); err != nil {
		return false, err
	}
	return outcome == 0, nil // -1 is that the time is over
}

// status is the second server's account of the replication, by column.
func (r *mariaDBReplication) status(ctx context.Context) (map[string]string, error) {
	rows, err := r.to.QueryContext(ctx, "SHOW SLAVE STATUS")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values, targets := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	status := map[string]string{}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		for i, column := range columns {
			status[column] = values[i].String
		}
	}
	return status, rows.Err()
}

// Client errors are from 2000 to 2999 ("MariaDB Error Code Reference"); those of a connection are gone with the next.
const firstClientError, lastClientError = 2000, 2999

func (r *mariaDBReplication) Check(ctx context.Context) error {
	status, err := r.status(ctx)
	if err != nil {
		return fmt.Errorf("check replication: %w", err)
	}
	for _, thread := range []string{"SQL", "IO"} {
		number, _ := strconv.Atoi(status["Last_"+thread+"_Errno"])
		if number != 0 && (number < firstClientError || number > lastClientError) {
			return fmt.Errorf("replicate: error %d: %s", number, status["Last_"+thread+"_Error"])
		}
	}
	return nil
}

func (r *mariaDBReplication) Stop(ctx context.Context) error {
	r.line.SetDown(true)
	err := r.stop(ctx)
	if err != nil {
		err = fmt.Errorf("stop replication: %w", err)
	}
	return errors.Join(err, r.close())
}

func (r *mariaDBReplication) stop(ctx context.Context) error {
	if _, err := r.to.ExecContext(ctx, "STOP SLAVE IO_THREAD"); err != nil {
		return err
	}
	for applied := false; !applied; {
		status, err := r.status(ctx)
		if err != nil {
			return err
		}
		if applied, err = r.waitFor(ctx, status["Gtid_IO_Pos"], 100*time.Millisecond); err != nil {
			return err
		}
		if err := r.Check(ctx); err != nil {
			return err
		}
	}
	for _, statement := range []string{"STOP SLAVE", "RESET SLAVE ALL"} {
		if _, err := r.to.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
