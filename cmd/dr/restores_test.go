package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"payments-dr/internal/payment"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/ledger/schema"
	"payments-dr/internal/simulation/awswire"
	"payments-dr/internal/simulation/localmysql"
)

// restores are the clusters and tables of the simulated deployment: the live ones, and what was brought back beside them. A restore goes
// on by one step whenever it is looked at.
type restores struct {
	window   time.Duration
	clusters map[string]*simulatedCluster // name
	tables   map[string]*simulatedTable   // "Region name"
	// goes is what becomes of a restore: empty, fails, waits, lost.
	goes string
	// live and copied are where databases are that can be signed in to.
	live, copied string
}

type simulatedCluster struct {
	status, region string
	tags           map[string]string
	instance       string // its status
	looks          int
}

type simulatedTable struct {
	status, source string
	moment         float64
	looks          int
	items          []map[string]any
}

const simulatedSessions = "payment-dev-sessions"

func newRestores() *restores {
	r := &restores{window: 72 * time.Hour, clusters: map[string]*simulatedCluster{}, tables: map[string]*simulatedTable{}, live: "127.0.0.1:1", copied: "127.0.0.1:1"}
	for _, region := range simulatedRegions {
		r.clusters["payment-dev-"+region] = &simulatedCluster{status: "available", region: region, instance: "available"}
		r.tables[region+" "+simulatedSessions] = &simulatedTable{status: "ACTIVE"}
	}
	return r
}

func (r *restores) simulate(ts *testscript.TestScript, args []string) {
	switch args[0] {
	case "moment": // $MOMENT is so long ago, $LATER two hours after it, and $STAMP and $REPLAY are in the names of what is made of them
		ago, err := time.ParseDuration(args[1])
		ts.Check(err)
		at := time.Now().Add(-ago).UTC().Truncate(time.Second)
		ts.Setenv("MOMENT", at.Format(time.RFC3339))
		ts.Setenv("STAMP", at.Format("200601021504"))
		ts.Setenv("LATER", at.Add(2*time.Hour).Format(time.RFC3339))
		ts.Setenv("BETWEEN", at.Add(time.Hour).Format(time.RFC3339))
		ts.Setenv("REPLAY", at.Format("20060102T150405Z")+"-"+at.Add(2*time.Hour).Format("20060102T150405Z"))
	case "restores":
		r.goes = ""
		if len(args) > 1 {
			r.goes = args[1]
		}
	case "databases": // live and copy, in which something is different
		var servers [2]*localmysql.Server
		for i := range servers {
			var err error
			servers[i], err = localmysql.StartEmbedded()
			ts.Check(err)
			ts.Defer(servers[i].Close)
			ts.Check(servers[i].Exec(context.Background(), "", "CREATE DATABASE payments"))
			database, err := ledger.OpenDatabase(ledger.Config{
				Host: servers[i].Host, Port: servers[i].Port, Database: "payments", User: localmysql.User, Password: localmysql.Password, PlainText: true,
			})
			ts.Check(err)
			_, err = schema.Migrate(context.Background(), database, schema.User{Name: ledger.UserName, Authentication: "IDENTIFIED BY 'simulated'"})
			ts.Check(err)
			ts.Check(database.Close())
			amount := "1.00"
			if i == 0 && slices.Contains(args, "changed") {
				amount = "1000.00"
			}
			ts.Check(servers[i].Exec(context.Background(), "payments", "UPDATE schema_versions SET tstamp = '2026-11-01 00:00:00'",
				"INSERT INTO payments VALUES ('s', 'p1', "+amount+", 'USD', 'us-east-1', '2026-11-01 00:00:00', '2026-11-01 00:00:00')",
				"INSERT INTO payments VALUES ('s', 'p2', 5, 'EUR', 'us-east-1', '2026-11-01 00:00:00', '2026-11-01 00:00:00')"))
		}
		r.live, r.copied = servers[0].Address(), servers[1].Address()
	case "sessions": // an item, accepted some minutes before a moment, in the live table; a restore takes along what is there
		at, err := time.Parse(time.RFC3339, args[2])
		ts.Check(err)
		at = at.Add(-5 * time.Minute)
		text := func(s string) map[string]any { return map[string]any{"S": s} }
		item := map[string]any{
			payment.AttributeSessionID: text("s"), payment.AttributeTransactionID: text(args[1]), payment.AttributeAmount: text("1.00"),
			payment.AttributeCurrency: text("USD"), payment.AttributeRegion: text("us-east-1"), payment.AttributeStatus: text(payment.StatusProcessed),
			payment.AttributeTimestamp: text(at.Format(payment.TimestampLayout)), payment.AttributeAcceptedBucket: text(at.Truncate(10*time.Minute).Format("2006-01-02T15:04Z") + "#00"),
		}
		for key, table := range r.tables {
			if strings.HasSuffix(key, " "+simulatedSessions) {
				table.items = append(table.items, item)
			}
		}
	}
}

// clusters is RDS, but for the global cluster.
func (s *simulated) clusters(w http.ResponseWriter, region, operation string, form url.Values) {
	r := s.repairs.restores
	name := form.Get("DBClusterIdentifier")
	refuse := func(code string) {
		awswire.WriteError(w, "rds", http.StatusNotFound, code, "no")
	}
	answer := func(format string, args ...any) {
		awswire.WriteXML(w, "rds", operation, fmt.Sprintf(format, args...))
	}
	cluster, found := r.clusters[name]
	found = found && cluster.region == region
	switch operation {
	case "DescribeDBClusters":
		if name != "" && !found {
			refuse("DBClusterNotFoundFault")
			return
		}
		all := ""
		for _, one := range sortedKeys(r.clusters) {
			if c := r.clusters[one]; c.region == region && (name == "" || name == one) {
				all += r.clusterXML(one, c)
				if name != "" {
					s.proceedCluster(one, c)
				}
			}
		}
		answer("<DBClusters>%s</DBClusters>", all)
	case "RestoreDBClusterToPointInTime":
		if found {
			refuse("DBClusterAlreadyExistsFault")
			return
		}
		if source := form.Get("SourceDBClusterIdentifier"); source != "payment-dev-"+region || form.Get("DBSubnetGroupName") != source || form.Get("DeletionProtection") != "false" {
			s.t.Errorf("restored with %v", form)
		}
		tags := map[string]string{}
		for i := 1; form.Has(fmt.Sprintf("Tags.Tag.%d.Key", i)); i++ {
			tags[form.Get(fmt.Sprintf("Tags.Tag.%d.Key", i))] = form.Get(fmt.Sprintf("Tags.Tag.%d.Value", i))
		}
		r.clusters[name] = &simulatedCluster{status: "creating", region: region, tags: tags}
		answer("%s", r.clusterXML(name, r.clusters[name]))
	case "DescribeDBInstances":
		of := strings.TrimSuffix(form.Get("DBInstanceIdentifier"), "-1")
		c, ok := r.clusters[of]
		if !ok || c.instance == "" {
			refuse("DBInstanceNotFound")
			return
		}
		answer("<DBInstances><DBInstance><DBInstanceIdentifier>%s-1</DBInstanceIdentifier><DBInstanceClass>db.r5.large</DBInstanceClass><DBInstanceStatus>%s</DBInstanceStatus></DBInstance></DBInstances>", of, c.instance)
		if c.instance == "creating" && r.goes != "waits" {
			c.instance = "available"
		}
	case "CreateDBInstance":
		cluster.instance = "creating"
		answer("<DBInstance><DBInstanceIdentifier>%s-1</DBInstanceIdentifier></DBInstance>", name)
	case "DeleteDBInstance":
		of := strings.TrimSuffix(form.Get("DBInstanceIdentifier"), "-1")
		if !strings.Contains(of, "-restore-") {
			s.t.Errorf("instance of %s is deleted", of)
		}
		if r.clusters[of] == nil {
			refuse("DBInstanceNotFound")
			return
		}
		r.clusters[of].instance = "deleting"
		answer("<DBInstance/>")
	case "DeleteDBCluster":
		if !strings.Contains(name, "-restore-") || form.Get("SkipFinalSnapshot") != "true" {
			s.t.Errorf("%s is deleted with %v", name, form)
		}
		if !found {
			refuse("DBClusterNotFoundFault")
			return
		}
		cluster.status = "deleting"
		answer("<DBCluster/>")
	default:
		s.t.Errorf("RDS in %s was asked for %s", region, operation)
	}
}

// proceedCluster takes a restore or a removal one step on.
func (s *simulated) proceedCluster(name string, c *simulatedCluster) {
	r := s.repairs.restores
	c.looks++
	switch {
	case c.status == "deleting" && r.goes != "waits":
		delete(r.clusters, name)
	case c.status != "creating" || r.goes == "waits":
	case r.goes == "fails":
		c.status = "incompatible-restore"
	case r.goes == "lost" && c.looks == 2:
		s.lost[c.region] = "silent"
	case c.looks >= 3:
		c.status = "available"
	}
}

func (r *restores) clusterXML(name string, c *simulatedCluster) string {
	at := func(before time.Duration) string { return time.Now().Add(-before).UTC().Format(time.RFC3339) }
	address, more, tags, members := r.copied, "", "", ""
	if c.tags == nil {
		address = r.live
		more = "<GlobalClusterIdentifier>payment-dev</GlobalClusterIdentifier><EarliestRestorableTime>" + at(r.window) + "</EarliestRestorableTime><LatestRestorableTime>" + at(5*time.Minute) + "</LatestRestorableTime>"
	}
	host, port, _ := net.SplitHostPort(address)
	for _, key := range sortedKeys(c.tags) {
		tags += "<Tag><Key>" + key + "</Key><Value>" + c.tags[key] + "</Value></Tag>"
	}
	if c.instance != "" {
		members = "<DBClusterMember><DBInstanceIdentifier>" + name + "-1</DBInstanceIdentifier></DBClusterMember>"
	}
	return fmt.Sprintf("<DBCluster><DBClusterIdentifier>%[1]s</DBClusterIdentifier><Status>%[2]s</Status><Engine>aurora-mysql</Engine><Port>%[3]s</Port><Endpoint>%[4]s</Endpoint><ReaderEndpoint>%[4]s</ReaderEndpoint>"+
		"<DBSubnetGroup>payment-dev-%[5]s</DBSubnetGroup><DBClusterParameterGroup>payment-dev-%[5]s</DBClusterParameterGroup><KmsKeyId>key</KmsKeyId><DbClusterResourceId>cluster-SIMULATED</DbClusterResourceId>"+
		"<IAMDatabaseAuthenticationEnabled>true</IAMDatabaseAuthenticationEnabled>%[6]s<DBClusterMembers>%[7]s</DBClusterMembers><TagList>%[8]s</TagList></DBCluster>",
		name, c.status, port, host, c.region, more, members, tags)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// tables is DynamoDB.
func (s *simulated) tables(w http.ResponseWriter, region, operation string, body []byte) {
	r := s.repairs.restores
	var in struct {
		TableName, TargetTableName, SourceTableName, IndexName string
		RestoreDateTime                                        float64
		ExpressionAttributeValues                              map[string]map[string]string
		RequestItems                                           map[string]struct {
			Keys []map[string]map[string]string
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		s.t.Errorf("a request that is no JSON: %s", body)
	}
	key := region + " " + in.TableName
	table, found := r.tables[key]
	if !found && in.TableName != "" {
		awswire.WriteError(w, "dynamodb", http.StatusBadRequest, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "no such table")
		return
	}
	seconds := func(t time.Time) float64 { return float64(t.Unix()) }
	switch operation {
	case "DescribeContinuousBackups":
		awswire.WriteJSON(w, map[string]any{"ContinuousBackupsDescription": map[string]any{"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": map[string]any{
			"PointInTimeRecoveryStatus": "ENABLED", "EarliestRestorableDateTime": seconds(time.Now().Add(-r.window)), "LatestRestorableDateTime": seconds(time.Now().Add(-5 * time.Minute)),
		}}})
	case "RestoreTableToPointInTime":
		if _, there := r.tables[region+" "+in.TargetTableName]; there || in.SourceTableName != simulatedSessions {
			s.t.Errorf("restored with %s", body)
		}
		r.tables[region+" "+in.TargetTableName] = &simulatedTable{
			status: "CREATING", source: in.SourceTableName, moment: in.RestoreDateTime, items: slices.Clone(r.tables[region+" "+simulatedSessions].items),
		}
		awswire.WriteJSON(w, map[string]any{"TableDescription": map[string]any{"TableName": in.TargetTableName}})
	case "DescribeTable":
		description := map[string]any{
			"TableName": in.TableName, "TableStatus": table.status, "TableArn": "arn:aws:dynamodb:" + region + ":" + s.account + ":table/" + in.TableName,
		}
		if table.source != "" {
			description["RestoreSummary"] = map[string]any{
				"RestoreDateTime": table.moment, "RestoreInProgress": table.status == "CREATING", "SourceTableArn": "arn:aws:dynamodb:" + region + ":" + s.account + ":table/" + table.source,
			}
		}
		awswire.WriteJSON(w, map[string]any{"Table": description})
		table.looks++
		switch {
		case table.status == "DELETING" && r.goes != "waits":
			delete(r.tables, key)
		case table.status == "CREATING" && r.goes != "waits" && table.looks >= 3:
			table.status = "ACTIVE"
		}
	case "DeleteTable":
		if !strings.Contains(in.TableName, "-restore-") {
			s.t.Errorf("%s is deleted", in.TableName)
		}
		table.status = "DELETING"
		awswire.WriteJSON(w, map[string]any{"TableDescription": map[string]any{"TableName": in.TableName}})
	case "ListTables":
		names := []string{"somebody-elses"}
		for _, one := range sortedKeys(r.tables) {
			if name, ok := strings.CutPrefix(one, region+" "); ok {
				names = append(names, name)
			}
		}
		awswire.WriteJSON(w, map[string]any{"TableNames": names})
	case "Query":
		items := []map[string]any{}
		for _, item := range table.items {
			value := func(attribute string) string { return item[attribute].(map[string]any)["S"].(string) }
			at := value(payment.AttributeTimestamp)
			if value(payment.AttributeAcceptedBucket) == in.ExpressionAttributeValues[":bucket"]["S"] && at >= in.ExpressionAttributeValues[":first"]["S"] && at <= in.ExpressionAttributeValues[":last"]["S"] {
				items = append(items, item)
			}
		}
		awswire.WriteJSON(w, map[string]any{"Items": items, "Count": len(items)})
	case "BatchGetItem":
		responses := map[string]any{}
		for name, request := range in.RequestItems {
			items := []map[string]any{}
			for _, item := range r.tables[region+" "+name].items {
				for _, wanted := range request.Keys {
					if item[payment.AttributeTransactionID].(map[string]any)["S"] == wanted[payment.AttributeTransactionID]["S"] {
						items = append(items, item)
					}
				}
			}
			responses[name] = items
		}
		awswire.WriteJSON(w, map[string]any{"Responses": responses, "UnprocessedKeys": map[string]any{}})
	default:
		s.t.Errorf("DynamoDB in %s was asked for %s", region, operation)
	}
}
