package aurora

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/simulation/localmysql"
)

// Lag is how far the secondary is behind.
type Lag struct {
	// Behind is the age of the oldest payment that the secondary has not, in the machine's time; zero if it has all. If only one
	// member can be reached it is an upper bound: the age of what the secondary surely has.
	Behind time.Duration
	// Rows is how many payments the secondary has not, or -1 if only one member can be reached.
	Rows int
}

// Lag is how far the secondary is behind, as the members that can be reached tell. It may be off by what is committed while it
// looks. The error is ErrUnreachable if both members are down, ErrNotSecondary if there is no secondary, and the replication's
// if that has ended by itself.
func (g *GlobalDatabase) Lag(ctx context.Context) (Lag, error) {
	g.mu.Lock()
	writer, secondary, replication := g.writer, g.other(g.writer), g.replication
	bound := g.lag
	if !g.apart.IsZero() {
		bound += time.Since(g.apart)
	}
	writerDown, secondaryDown := writer.down, secondary.down
	writerServer, secondaryServer := writer.server, secondary.server
	g.mu.Unlock()
	switch {
	case replication == nil:
		return Lag{}, fmt.Errorf("measure lag: %w", ErrNotSecondary)
	case writerDown && secondaryDown:
		return Lag{}, fmt.Errorf("measure lag: %w", ErrUnreachable)
	case writerDown || secondaryDown:
		return Lag{Behind: bound, Rows: -1}, nil
	}
	if err := replication.Check(ctx); err != nil {
		return Lag{}, fmt.Errorf("measure lag: %w", err)
	}
	lag, err := g.compare(ctx, writerServer, secondaryServer)
	if err != nil {
		return Lag{}, fmt.Errorf("measure lag: %w", err)
	}
	return lag, nil
}

func (g *GlobalDatabase) compare(ctx context.Context, writer, secondary *localmysql.Server) (Lag, error) {
	var here, there int
	var newest, oldest sql.NullTime
	err := g.look(secondary, func(database *sql.DB) error {
		return database.QueryRowContext(ctx, "SELECT COUNT(*), MAX(recorded_at) FROM payments").Scan(&here, &newest)
	})
	if err != nil {
		return Lag{}, err
	}
	if !newest.Valid {
		newest.Time = everything.from
	}
	err = g.look(writer, func(database *sql.DB) error {
		if err := database.QueryRowContext(ctx, "SELECT COUNT(*) FROM payments").Scan(&there); err != nil {
			return err
		}
		return database.QueryRowContext(ctx, "SELECT MIN(recorded_at) FROM payments WHERE recorded_at > ?", newest.Time).Scan(&oldest)
	})
	if err != nil {
		return Lag{}, err
	}
	lag := Lag{Rows: max(there-here, 0)}
	if lag.Rows > 0 && oldest.Valid {
		lag.Behind = time.Since(oldest.Time)
	}
	return lag, nil
}

// look opens a server's database for as long as a function looks at it.
func (g *GlobalDatabase) look(server *localmysql.Server, at func(*sql.DB) error) error {
	database, err := server.Open(g.database)
	if err != nil {
		return err
	}
	defer database.Close()
	return at(database)
}

// identities are of all payments of a server.
func (g *GlobalDatabase) identities(ctx context.Context, server *localmysql.Server) (map[payment.Identity]bool, error) {
	identities := map[payment.Identity]bool{}
	err := g.look(server, func(database *sql.DB) error {
		rows, err := database.QueryContext(ctx, "SELECT session_id, transaction_id FROM payments")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var session, transaction []byte
			if err := rows.Scan(&session, &transaction); err != nil {
				return err
			}
			identities[payment.Identity{SessionID: string(session), TransactionID: string(transaction)}] = true
		}
		return rows.Err()
	})
	return identities, err
}

// everything is a window that all payments are in.
var everything = struct{ from, to time.Time }{time.Unix(0, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}

// lost is what a replaced writer has alone.
func (g *GlobalDatabase) lost(ctx context.Context, old *member) (Lost, error) {
	lost := Lost{Region: old.region}
	var identities []payment.Identity
	err := g.look(old.server, func(database *sql.DB) error {
		return ledger.New(database).Window(ctx, everything.from, everything.to, func(p payment.Payment) error {
			if !g.atPromotion[p.Identity] {
				lost.Unreplicated = append(lost.Unreplicated, p)
				identities = append(identities, p.Identity)
			}
			return nil
		})
	})
	if err != nil {
		return Lost{}, err
	}
	err = g.look(g.writer.server, func(database *sql.DB) error {
		found, err := ledger.New(database).Find(ctx, identities)
		if err != nil {
			return err
		}
		for _, p := range lost.Unreplicated {
			if there, ok := found[p.Identity]; !ok || !there.Equal(p) {
				lost.Missing = append(lost.Missing, p)
			}
		}
		return nil
	})
	return lost, err
}
