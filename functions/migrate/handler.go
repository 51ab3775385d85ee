package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/go-sql-driver/mysql"

	"payments-dr/internal/payment/customresource"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
)

const (
	// defaultPause is the pause between two attempts to reach the database.
	defaultPause = 5 * time.Second
	// defaultWriterPatience is how long the writer endpoint may be silent before the reader endpoint is believed. A failover
	// within a cluster is over sooner ("High availability for Amazon Aurora", Amazon Aurora User Guide: typically within 60 s, often less
	// than 30 s), and must not be taken for the standby.
	defaultWriterPatience = 90 * time.Second
	// physicalID is the resource's identity: a migration replaces nothing.
	physicalID = "ledger-schema"
)

// secretReader is what the handler needs of Secrets Manager.
type secretReader interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

var _ secretReader = (*secretsmanager.Client)(nil)

// login is the master user's secret.
type login struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// migrator migrates the database behind an endpoint.
type migrator func(ctx context.Context, host string, master login, user schema.User) (schema.Result, error)

// migration is the real migrator, for a configuration that lacks the host and the login.
func migration(config ledger.Config) migrator {
	return func(ctx context.Context, host string, master login, user schema.User) (schema.Result, error) {
		config := config
		config.Host, config.User, config.Password = host, master.Username, master.Password
		database, err := ledger.OpenDatabase(config)
		if err != nil {
			return schema.Result{}, err
		}
		defer database.Close()
		return schema.Migrate(ctx, database, user)
	}
}

type handler struct {
	secrets        secretReader
	secretName     string
	migrate        migrator
	writer, reader string
	user           schema.User
	pause          time.Duration
	writerPatience time.Duration
	logger         *slog.Logger
}

// handle brings the schema up to date on Create and Update, and returns its Outcome and Version as data. A ledger outlives its
// stack.
func (h *handler) handle(ctx context.Context, event customresource.Event) (customresource.Response, error) {
	return customresource.Handle(ctx, event, physicalID, func(ctx context.Context) (map[string]string, error) {
		master, err := h.login(ctx)
		if err != nil {
			return nil, err
		}
		result, err := h.run(ctx, master)
		if err != nil {
			return nil, err
		}
		h.logger.LogAttrs(ctx, slog.LevelInfo, "schema", slog.String("outcome", string(result.Outcome)), slog.Int64("version", result.Version))
		return map[string]string{"Outcome": string(result.Outcome), "Version": strconv.FormatInt(result.Version, 10)}, nil
	})
}

// login reads the master user's secret from this Region. The errors do not quote it.
func (h *handler) login(ctx context.Context) (login, error) {
	out, err := h.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &h.secretName})
	if err != nil {
		return login{}, fmt.Errorf("read master secret: %w", err)
	}
	var master login
	if out.SecretString == nil || json.Unmarshal([]byte(*out.SecretString), &master) != nil || master.Username == "" || master.Password == "" {
		return login{}, errors.New("read master secret: it is not JSON with a username and a password")
	}
	return master, nil
}

// run migrates through the writer endpoint. In the standby Region of a global database that endpoint leads nowhere: when it
// has been silent for long enough and the reader endpoint answers as a reader, there is nothing to do here, because the schema
// comes by replication.
func (h *handler) run(ctx context.Context, master login) (schema.Result, error) {
	started := time.Now()
	for {
		result, err := h.migrate(ctx, h.writer, master, h.user)
		if err == nil {
			return result, nil
		}
		// A server that gives a reason will give it again.
		if _, answered := errors.AsType[*mysql.MySQLError](err); answered {
			return schema.Result{}, fmt.Errorf("migrate by the writer endpoint: %w", err)
		}
		if h.reader != "" && time.Since(started) >= h.writerPatience {
			result, readerErr := h.migrate(ctx, h.reader, master, h.user)
			if readerErr == nil {
				return result, nil
			}
			err = errors.Join(err, fmt.Errorf("by the reader endpoint: %w", readerErr))
		}
		select {
		case <-time.After(h.pause):
		case <-ctx.Done():
			return schema.Result{}, fmt.Errorf("migrate by the writer endpoint: %w", err)
		}
	}
}
