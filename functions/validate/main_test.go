package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"payments-dr/internal/assembly/functionbuild"
	"payments-dr/internal/payment"
	"payments-dr/internal/payment/functionerror"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/payment/sessiontable"
	"payments-dr/internal/payment/start"
	"payments-dr/internal/simulation/awswire"
	"payments-dr/internal/simulation/lambdaruntime"
	"payments-dr/internal/simulation/localdynamodb"
	"payments-dr/internal/simulation/localmysql"
)

const (
	region          = "us-east-1"
	liveTable       = "payment-dev-sessions"
	restoredTable   = "awsbackup-restore-test-table"
	emptyTable      = "awsbackup-restore-test-empty"
	restoredCluster = "awsbackup-restore-test-cluster"
)

// point is when the recovery points were made.
var point = time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)

// cloud simulates, on the wire, what the function asks of AWS Backup and of RDS.
type cloud struct {
	mu sync.Mutex
	// host and port are where the restored cluster's endpoint leads to.
	host string
	port int
	// instance is the status of its instance, empty if there is none.
	instance string
	calls    []string
	verdicts map[string]string // a job's status and message
}

func (c *cloud) backup(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	job, validation := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/restore-jobs/"), "/validations")
	if validation {
		var in struct{ ValidationStatus, ValidationStatusMessage string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Method != http.MethodPut {
			http.Error(w, "not a validation", http.StatusBadRequest)
			return
		}
		c.calls = append(c.calls, "verdict on "+job)
		c.verdicts[job] = in.ValidationStatus + ": " + in.ValidationStatusMessage
		w.WriteHeader(http.StatusNoContent)
		return
	}
	kind, resource := "DynamoDB", "dynamodb:us-east-1:111122223333:table/"+restoredTable
	switch job {
	case "cluster":
		kind, resource = "Aurora", "rds:us-east-1:111122223333:cluster:"+restoredCluster
	case "empty":
		resource = "dynamodb:us-east-1:111122223333:table/" + emptyTable
	}
	status, _, _ := strings.Cut(c.verdicts[job], ":")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"RestoreJobId": job, "Status": "COMPLETED", "ResourceType": kind, "CreatedResourceArn": "arn:aws:" + resource, "ValidationStatus": status,
		"RecoveryPointCreationDate": point.Unix(), "CreatedBy": map[string]any{"RestoreTestingPlanArn": "arn:aws:backup:us-east-1:111122223333:restore-testing-plan:payment_dev-1"},
	})
}

func (c *cloud) rds(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	action, instance := r.FormValue("Action"), r.FormValue("DBInstanceIdentifier")
	answer := func(result string) { awswire.WriteXML(w, "rds", action, result) }
	switch {
	case action == "DescribeDBClusters" && r.FormValue("DBClusterIdentifier") == restoredCluster:
		answer(fmt.Sprintf(`<DBClusters><DBCluster><DBClusterIdentifier>%s</DBClusterIdentifier><Status>available</Status><Engine>aurora-mysql</Engine>`+
			`<Endpoint>%s</Endpoint><Port>%d</Port></DBCluster></DBClusters>`, restoredCluster, c.host, c.port))
	case instance != restoredCluster+"-1":
		http.Error(w, "nobody else's", http.StatusForbidden)
	case action == "DescribeDBInstances" && c.instance == "":
		awswire.WriteError(w, "rds", http.StatusNotFound, "DBInstanceNotFound", "none")
	case action == "DescribeDBInstances":
		answer("<DBInstances><DBInstance><DBInstanceStatus>" + c.instance + "</DBInstanceStatus></DBInstance></DBInstances>")
	case action == "CreateDBInstance":
		c.calls, c.instance = append(c.calls, "create a "+r.FormValue("DBInstanceClass")), "creating"
		answer("")
	case action == "DeleteDBInstance" && r.FormValue("SkipFinalSnapshot") == "true":
		c.calls, c.instance = append(c.calls, "delete"), ""
		answer("")
	default:
		http.Error(w, "unexpected "+string(body), http.StatusBadRequest)
	}
}

// accepted are payments of the hours before the recovery point, and one of the day before, which is all that is of its age.
func accepted(t *testing.T, count int) []payment.Payment {
	t.Helper()
	var all []payment.Payment
	for i := range count {
		before := time.Duration(i+1) * 7 * time.Minute
		if i == count-1 {
			before = 30 * time.Hour
		}
		p, err := payment.Parse(payment.Values{
			"session_id": fmt.Sprintf("s-%d", i), "transaction_id": "t",
			"amount": fmt.Sprintf("%d.00", i+1), "currency": "USD",
			"region": region, "timestamp": point.Add(-2*time.Hour - before).Format(payment.TimestampLayout),
			"status": payment.StatusProcessed,
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// newTable makes a session table with payments in it.
func newTable(t *testing.T, server *localdynamodb.Server, name string, payments []payment.Payment) *sessiontable.Table {
	t.Helper()
	index := localdynamodb.Index{Name: sessiontable.IndexByAcceptance, PartitionKey: payment.AttributeAcceptedBucket, SortKey: payment.AttributeTimestamp}
	if _, err := server.CreateTable(t.Context(), region, name, payment.AttributeSessionID, payment.AttributeTransactionID, index); err != nil {
		t.Fatal(err)
	}
	table := sessiontable.New(sessiontable.NewBatchClient(server.Config(region)), name)
	for _, p := range payments {
		if _, _, err := table.Accept(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	return table
}

// TestBinary runs the function that is deployed over a restored table and a restored ledger, behind AWS Backup and RDS simulated
// on the wire.
func TestBinary(t *testing.T) {
	tables, err := localdynamodb.Start("../..")
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	databases, closeAll, err := localmysql.StartAll()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	binary, err := functionbuild.Build("../..", "validate", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	payments := accepted(t, 40)
	live := newTable(t, tables, liveTable, payments)
	newTable(t, tables, restoredTable, payments)
	newTable(t, tables, emptyTable, nil)

	for name, server := range databases {
		t.Run(name, func(t *testing.T) {
			if err := server.Exec(t.Context(), "", "CREATE DATABASE restored"); err != nil {
				t.Fatal(err)
			}
			config := ledger.Config{Host: server.Host, Port: server.Port, User: localmysql.User, Password: localmysql.Password, Database: "restored", PlainText: true}
			database, err := ledger.OpenDatabase(config)
			if err != nil {
				t.Fatal(err)
			}
			defer database.Close()
			// The backup is as old as the first schema.
			if _, err := schema.MigrateTo(t.Context(), database, schema.User{Name: ledger.UserName, Authentication: "IDENTIFIED BY 'simulated-too'"}, 1); err != nil {
				t.Fatal(err)
			}
			config.User, config.Password = ledger.UserName, "simulated-too"
			recorded, err := ledger.Open(config)
			if err != nil {
				t.Fatal(err)
			}
			defer recorded.Close()
			if _, err := recorded.Record(t.Context(), payments); err != nil {
				t.Fatal(err)
			}

			c := &cloud{host: server.Host, port: server.Port, verdicts: map[string]string{}}
			backup, rds := httptest.NewServer(http.HandlerFunc(c.backup)), httptest.NewServer(http.HandlerFunc(c.rds))
			defer backup.Close()
			defer rds.Close()
			var log bytes.Buffer // read when the process has ended
			function, err := lambdaruntime.Start(lambdaruntime.Config{
				Binary: binary, Name: "validate", Region: region, MemoryMB: 1024, Log: &log,
				Environment: map[string]string{
					"AWS_ENDPOINT_URL_BACKUP": backup.URL, "AWS_ENDPOINT_URL_RDS": rds.URL, "AWS_ENDPOINT_URL_DYNAMODB": tables.Endpoint,
					"TABLE_NAME": liveTable, "TABLE_CONSISTENCY": "strong", "INSTANCE_CLASS": "db.r5.large", "MAX_RECEIVES": "4", "METRICS_NAMESPACE": "Payments/test",
					"DATABASE_PORT": strconv.Itoa(server.Port), "DATABASE_NAME": "restored", "DATABASE_USER": ledger.UserName, "DATABASE_PASSWORD": "simulated-too", "DATABASE_TLS": "off",
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer function.Close()
			ask := func(job string, received int) (string, error) {
				payload, err := json.Marshal(message(strings.Replace(restored, "job-1", job, 1), strconv.Itoa(received)))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // as it is deployed: it keeps some of that back
				defer cancel()
				answer, err := function.Invoke(ctx, payload)
				return string(answer), err
			}
			const done, kept = `{"batchItemFailures":[]}`, `{"batchItemFailures":[{"itemIdentifier":"m1"}]}`

			// The cluster has no instance: it gets one, and is asked for again.
			for range 2 {
				if got, err := ask("cluster", 1); err != nil || got != kept {
					t.Errorf("%s, %v", got, err)
				}
			}
			c.instance = "available"
			for range 2 { // the second time the verdict is known
				if got, err := ask("cluster", 2); err != nil || got != done {
					t.Errorf("%s, %v", got, err)
				}
			}
			if got, err := ask("table", 1); err != nil || got != done {
				t.Errorf("%s, %v", got, err)
			}
			if want := []string{"create a db.r5.large", "delete", "verdict on cluster", "verdict on table"}; !slices.Equal(c.calls, want) {
				t.Errorf("calls %v, want %v", c.calls, want)
			}
			sum := 40*41/2 + len(payments) - 40 // what was lost, in the other database's turn, is a dollar
			proven := fmt.Sprintf("SUCCESSFUL: all %d payments are there, and no other. Compared: all accepted from 2026-11-21T03:00:00Z to 2026-11-22T09:00:00Z. Sums: USD %d.00", len(payments), sum)
			for _, job := range []string{"cluster", "table"} {
				if c.verdicts[job] != proven {
					t.Errorf("%s: %s", job, c.verdicts[job])
				}
			}

			// What was accepted more than a day before and is in neither fails both; the function's error tells of it.
			lost, err := payment.Parse(payment.Values{
				"session_id": "s-lost-" + name, "transaction_id": "t",
				"amount": "1.00", "currency": "USD",
				"region": region, "timestamp": point.Add(-28 * time.Hour).Format(payment.TimestampLayout),
				"status": payment.StatusProcessed,
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := live.Accept(t.Context(), lost); err != nil {
				t.Fatal(err)
			}
			defer func() {
				// The other database's turn begins with the same table: what was lost is there again in both.
				payments = append(payments, lost)
				restoredAgain := sessiontable.New(sessiontable.NewBatchClient(tables.Config(region)), restoredTable)
				if _, _, err := restoredAgain.Accept(context.WithoutCancel(t.Context()), lost); err != nil {
					t.Error(err)
				}
			}()
			clear(c.verdicts)
			c.instance = "available"
			for _, job := range []string{"cluster", "table"} {
				var failed *functionerror.Error
				if _, err := ask(job, 1); !errors.As(err, &failed) || !strings.Contains(string(failed.Payload), "1 are missing") {
					t.Errorf("%s: %v", job, err)
				}
				if !strings.HasPrefix(c.verdicts[job], "FAILED: of ") || !strings.Contains(c.verdicts[job], " 1 are missing, 0 have another amount") {
					t.Errorf("%s: %s", job, c.verdicts[job])
				}
			}
			// So does a table that was restored with nothing in it.
			var failed *functionerror.Error
			if _, err := ask("empty", 1); !errors.As(err, &failed) || !strings.HasPrefix(c.verdicts["empty"], "FAILED: the copy is empty: it has no payment accepted before 2026-11-22T09:00:00Z") {
				t.Errorf("empty: %s, %v", c.verdicts["empty"], err)
			}
			function.Close()
			t.Logf("%.0f MB, %v of processor time", function.MaxMemoryMB(), function.Usage())
			if lines := strings.Count(log.String(), `"message":"validate"`); lines != 8 {
				t.Errorf("%d log lines:\n%s", lines, log.String())
			}
			if strings.Contains(log.String(), "s-lost") {
				t.Error("ids in the log")
			}
		})
	}
}

func TestBinaryNeedsItsEnvironment(t *testing.T) {
	t.Setenv("AWS_REGION", region)
	t.Setenv("MAX_RECEIVES", "none")
	_, err := start.Handler(t.Context(), "validate", newHandler)
	for _, want := range []string{"TABLE_NAME is not set", "INSTANCE_CLASS is not set", `MAX_RECEIVES is "none"; allowed are whole numbers from 1 to 1000`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want in it %q", err, want)
		}
	}
}
