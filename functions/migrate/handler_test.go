package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/go-sql-driver/mysql"

	"payments-dr/internal/payment/customresource"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/simulation/localmysql"
)

// secrets is a simulated Secrets Manager.
type secrets struct {
	value string
	err   error
	asked []string
}

func (s *secrets) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	s.asked = append(s.asked, *in.SecretId)
	return &secretsmanager.GetSecretValueOutput{SecretString: &s.value}, s.err
}

const masterSecret = `{"username":"` + localmysql.User + `","password":"` + localmysql.Password + `"}`

func newTestHandler(migrate migrator) (*handler, *secrets) {
	s := &secrets{value: masterSecret}
	return &handler{
		secrets: s, secretName: "payment/test/db/master", migrate: migrate, writer: "writer", reader: "reader",
		user:  schema.User{Name: ledger.UserName, Authentication: "IDENTIFIED BY 'simulated-too'"},
		pause: time.Millisecond, logger: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	}, s
}

func call(t *testing.T, h *handler, event string) (string, error) {
	t.Helper()
	var r customresource.Event
	if err := json.Unmarshal([]byte(event), &r); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), customresource.AnswerMargin+500*time.Millisecond)
	defer cancel()
	answer, err := h.handle(ctx, r)
	text, _ := json.Marshal(answer)
	return string(text), err
}

const (
	create = `{"RequestType":"Create","ResourceProperties":{"ServiceToken":"arn"},"StackId":"s","RequestId":"r","LogicalResourceId":"Schema"}`
	update = `{"RequestType":"Update","PhysicalResourceId":"given","ResourceProperties":{},"OldResourceProperties":{}}`
)

func TestCreateAndUpdateMigrate(t *testing.T) {
	migrations, err := filepath.Glob("../../internal/payment/ledger/schema/migrations/*.sql")
	if err != nil || len(migrations) == 0 {
		t.Fatalf("%d migrations, %v", len(migrations), err)
	}
	servers, closeAll, err := localmysql.StartAll()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			if err := server.Exec(t.Context(), "", "CREATE DATABASE migrated"); err != nil {
				t.Fatal(err)
			}
			h, s := newTestHandler(migration(ledger.Config{Port: server.Port, Database: "migrated", PlainText: true, StatementTimeout: statementTimeout}))
			h.writer = server.Host
			latest := strconv.Itoa(len(migrations))
			for _, tt := range []struct{ event, want string }{
				{create, `{"PhysicalResourceId":"ledger-schema","Data":{"Outcome":"migrated","Version":"` + latest + `"}}`},
				{create, `{"PhysicalResourceId":"ledger-schema","Data":{"Outcome":"up-to-date","Version":"` + latest + `"}}`},
				{update, `{"PhysicalResourceId":"given","Data":{"Outcome":"up-to-date","Version":"` + latest + `"}}`},
			} {
				if got, err := call(t, h, tt.event); err != nil || got != tt.want {
					t.Errorf("%s, %v; want %s", got, err, tt.want)
				}
			}
			if len(s.asked) != 3 || s.asked[0] != "payment/test/db/master" {
				t.Errorf("secrets asked for: %v", s.asked)
			}
			config := ledger.Config{Host: server.Host, Port: server.Port, User: ledger.UserName, Password: "simulated-too", Database: "migrated", PlainText: true}
			l, err := ledger.Open(config)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if _, _, err := l.Oldest(t.Context(), time.Now()); err != nil {
				t.Errorf("the ledger's user: %v", err)
			}

			if err := server.SetReadOnly(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.SetReadOnly(context.Background(), false) }()
			got, err := call(t, h, update)
			if want := `{"PhysicalResourceId":"given","Data":{"Outcome":"reader","Version":"` + latest + `"}}`; err != nil || got != want {
				t.Errorf("%s, %v; want %s", got, err, want)
			}
		})
	}
}

var unreachable = &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}

func TestStandbyHasNoWriter(t *testing.T) {
	var hosts []string
	h, _ := newTestHandler(func(_ context.Context, host string, _ login, _ schema.User) (schema.Result, error) {
		hosts = append(hosts, host)
		if host == "writer" {
			return schema.Result{}, unreachable
		}
		return schema.Result{Outcome: schema.Reader, Version: 1}, nil
	})
	h.writerPatience = 30 * time.Millisecond
	got, err := call(t, h, create)
	if want := `{"PhysicalResourceId":"ledger-schema","Data":{"Outcome":"reader","Version":"1"}}`; err != nil || got != want {
		t.Fatalf("%s, %v; want %s", got, err, want)
	}
	if all := strings.Join(hosts, " "); !strings.HasPrefix(all, "writer writer ") || !strings.HasSuffix(all, "writer reader") || strings.Count(all, "reader") != 1 {
		t.Errorf("asked %s; want the writer until patience ends, then the reader once", all)
	}
}

func TestWriterThatComesBackIsMigrated(t *testing.T) {
	attempts := 0
	h, _ := newTestHandler(func(_ context.Context, host string, _ login, _ schema.User) (schema.Result, error) {
		if attempts++; host != "writer" {
			t.Errorf("asked %s", host)
		}
		if attempts < 3 {
			return schema.Result{}, unreachable
		}
		return schema.Result{Outcome: schema.Migrated, Version: 1}, nil
	})
	h.writerPatience = time.Hour
	if got, err := call(t, h, create); err != nil || !strings.Contains(got, `"migrated"`) {
		t.Errorf("%s, %v", got, err)
	}
}

func TestFailures(t *testing.T) {
	denied := &mysql.MySQLError{Number: 1045, Message: "Access denied"}
	for name, tt := range map[string]struct {
		err      error
		reader   string
		attempts int // 0: many
		want     string
	}{
		"a server that refuses": {fmt.Errorf("read variables: %w", denied), "reader", 1, "Access denied"},
		"nobody at all":         {unreachable, "reader", 0, "by the reader endpoint"},
		"no reader endpoint":    {unreachable, "", 0, "migrate by the writer endpoint: dial"},
	} {
		t.Run(name, func(t *testing.T) {
			attempts := 0
			h, _ := newTestHandler(func(context.Context, string, login, schema.User) (schema.Result, error) {
				attempts++
				return schema.Result{}, tt.err
			})
			h.reader = tt.reader
			started := time.Now()
			_, err := call(t, h, create)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want in it %q", err, tt.want)
			}
			if tt.attempts > 0 && attempts != tt.attempts || tt.attempts == 0 && attempts < 3 {
				t.Errorf("%d attempts", attempts)
			}
			if time.Since(started) > customresource.AnswerMargin {
				t.Error("the reason would not be heard")
			}
		})
	}
}

func TestDeleteDoesNothing(t *testing.T) {
	h, s := newTestHandler(func(context.Context, string, login, schema.User) (schema.Result, error) {
		t.Error("migrated")
		return schema.Result{}, nil
	})
	got, err := call(t, h, `{"RequestType":"Delete","PhysicalResourceId":"given"}`)
	if err != nil || got != `{"PhysicalResourceId":"given"}` || len(s.asked) > 0 {
		t.Errorf("%s, %v, secrets asked for: %v", got, err, s.asked)
	}
	if _, err := call(t, h, `{"RequestType":"Something"}`); err == nil {
		t.Error("an unknown request is no error")
	}
}

func TestSecretIsNotQuoted(t *testing.T) {
	for _, value := range []string{"hush-hush", `{"username":"u","password":""}`, `{"username":"hush-hush"}`, `["hush-hush"]`, ""} {
		h, s := newTestHandler(nil)
		s.value = value
		if _, err := call(t, h, create); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: error %v", value, err)
		}
	}
	h, s := newTestHandler(nil)
	s.err = errors.New("no such secret here")
	if _, err := call(t, h, create); !errors.Is(err, s.err) {
		t.Errorf("error %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	whole := map[string]string{"SECRET_NAME": "s", "DATABASE_HOST": "h", "DATABASE_NAME": "d", "DATABASE_READER_HOST": "r", "DATABASE_PORT": "3307", "AWS_REGION": "us-east-1"}
	for name, value := range whole {
		t.Setenv(name, value)
	}
	h, err := start.Handler(t.Context(), "migrate", newHandler)
	if err != nil {
		t.Fatal(err)
	}
	if h.user.Authentication != schema.IAMAuthentication || h.user.Name != ledger.UserName || h.writer != "h" || h.reader != "r" || h.writerPatience < time.Minute {
		t.Errorf("handler %+v", h)
	}
	for _, name := range []string{"SECRET_NAME", "DATABASE_HOST", "DATABASE_READER_HOST", "DATABASE_PORT", "DATABASE_NAME"} {
		t.Setenv(name, "")
		if _, err := start.Handler(t.Context(), "migrate", newHandler); err == nil || !strings.Contains(err.Error(), name+" is not set") {
			t.Errorf("without %s: error %v", name, err)
		}
		t.Setenv(name, whole[name])
	}
	t.Setenv("DATABASE_PORT", "x")
	if _, err := start.Handler(t.Context(), "migrate", newHandler); err == nil {
		t.Error("DATABASE_PORT x is no error")
	}
}
