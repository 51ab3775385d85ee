package restore_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"payments-dr/internal/operate/restore"
)

var (
	now    = time.Date(2026, 11, 22, 14, 36, 33, 0, time.UTC)
	moment = now.Add(-71 * time.Hour)
)

const (
	live     = "payment-dev-us-east-1"
	copyName = "payment-dev-us-east-1-restore-202611191536"
)

func TestNamesAreMadeOfTheMoment(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	for source, want := range map[string]string{live: copyName, sessions: tableCopy} {
		if got := restore.Name(source, moment.In(berlin)); got != want {
			t.Errorf("name %s, want %s", got, want)
		}
	}
	// RDS takes 63 characters, and the instance's "-1" is to come.
	if got := restore.Name("payment-abcdefghij-ap-northeast-1", moment); len(got) > 61 {
		t.Errorf("%s has %d characters", got, len(got))
	}
}

// clusters is an RDS of two states: what was asked for is there after some answers.
type clusters struct {
	clusters  map[string]*rdstypes.DBCluster
	instances map[string]*rdstypes.DBInstance
	// calls are what changed something.
	calls    []string
	restored []*rds.RestoreDBClusterToPointInTimeInput
	created  []*rds.CreateDBInstanceInput
	// raced makes the next restore find that another was faster.
	raced bool
	// end is the status that a cluster ends in; empty is available.
	end string
	err error
	// fails is how many of the next answers do not come.
	fails int
}

func newClusters() *clusters {
	return &clusters{
		clusters: map[string]*rdstypes.DBCluster{live: {
			DBClusterIdentifier: aws.String(live), Status: aws.String("available"), Engine: aws.String("aurora-mysql"),
			EarliestRestorableTime: aws.Time(now.Add(-72 * time.Hour)), LatestRestorableTime: aws.Time(now.Add(-5 * time.Minute)),
			DBSubnetGroup: aws.String(live), DBClusterParameterGroup: aws.String(live), KmsKeyId: aws.String("key"), Port: aws.Int32(3306),
			VpcSecurityGroups:                []rdstypes.VpcSecurityGroupMembership{{VpcSecurityGroupId: aws.String("sg-1")}},
			DBClusterMembers:                 []rdstypes.DBClusterMember{{DBInstanceIdentifier: aws.String(live + "-1")}},
			IAMDatabaseAuthenticationEnabled: aws.Bool(true), GlobalClusterIdentifier: aws.String("payment-dev"),
		}},
		instances: map[string]*rdstypes.DBInstance{live + "-1": {
			DBInstanceIdentifier: aws.String(live + "-1"), DBInstanceClass: aws.String("db.r5.large"), CACertificateIdentifier: aws.String("rds-ca-rsa2048-g1"),
		}},
	}
}

func (c *clusters) DescribeDBClusters(_ context.Context, in *rds.DescribeDBClustersInput, _ ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error) {
	if c.fails > 0 {
		c.fails--
		return nil, errors.New("no answer")
	}
	if in.DBClusterIdentifier == nil { // a page each
		names := slices.Sorted(maps.Keys(c.clusters))
		i, _ := strconv.Atoi(aws.ToString(in.Marker))
		out := &rds.DescribeDBClustersOutput{DBClusters: []rdstypes.DBCluster{*c.clusters[names[i]]}}
		if i++; i < len(names) {
			out.Marker = aws.String(strconv.Itoa(i))
		}
		return out, c.err
	}
	cluster, ok := c.clusters[*in.DBClusterIdentifier]
	if c.err != nil || !ok {
		return nil, cmpErr(c.err, &rdstypes.DBClusterNotFoundFault{})
	}
	seen := *cluster
	switch *cluster.Status {
	case "creating":
		cluster.Status = aws.String("available")
		if c.end != "" {
			cluster.Status = &c.end
		}
	case "deleting":
		delete(c.clusters, *in.DBClusterIdentifier)
	}
	return &rds.DescribeDBClustersOutput{DBClusters: []rdstypes.DBCluster{seen}}, nil
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func (c *clusters) RestoreDBClusterToPointInTime(_ context.Context, in *rds.RestoreDBClusterToPointInTimeInput, _ ...func(*rds.Options)) (*rds.RestoreDBClusterToPointInTimeOutput, error) {
	c.calls = append(c.calls, "restore "+*in.DBClusterIdentifier)
	c.restored = append(c.restored, in)
	c.clusters[*in.DBClusterIdentifier] = &rdstypes.DBCluster{
		DBClusterIdentifier: in.DBClusterIdentifier, Status: aws.String("creating"), TagList: in.Tags, Port: in.Port,
		Endpoint: aws.String("writer.example"), ReaderEndpoint: aws.String("reader.example"), DbClusterResourceId: aws.String("cluster-COPY"),
	}
	if c.raced {
		c.raced = false
		return nil, &rdstypes.DBClusterAlreadyExistsFault{}
	}
	return &rds.RestoreDBClusterToPointInTimeOutput{}, nil
}

func (c *clusters) DeleteDBCluster(_ context.Context, in *rds.DeleteDBClusterInput, _ ...func(*rds.Options)) (*rds.DeleteDBClusterOutput, error) {
	c.calls = append(c.calls, "delete "+*in.DBClusterIdentifier)
	if !aws.ToBool(in.SkipFinalSnapshot) {
		return nil, errors.New("a final snapshot is asked for")
	}
	for _, member := range c.clusters[*in.DBClusterIdentifier].DBClusterMembers {
		if instance, ok := c.instances[*member.DBInstanceIdentifier]; ok && *instance.DBInstanceStatus != "deleting" {
			return nil, &rdstypes.InvalidDBClusterStateFault{}
		}
	}
	if *c.clusters[*in.DBClusterIdentifier].Status == "deleting" {
		return nil, &rdstypes.InvalidDBClusterStateFault{}
	}
	c.clusters[*in.DBClusterIdentifier].Status = aws.String("deleting")
	return &rds.DeleteDBClusterOutput{}, nil
}

func (c *clusters) DescribeDBInstances(_ context.Context, in *rds.DescribeDBInstancesInput, _ ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	instance, ok := c.instances[*in.DBInstanceIdentifier]
	if !ok {
		return nil, &rdstypes.DBInstanceNotFoundFault{}
	}
	seen := *instance
	if aws.ToString(instance.DBInstanceStatus) == "creating" {
		instance.DBInstanceStatus = aws.String("available")
	}
	return &rds.DescribeDBInstancesOutput{DBInstances: []rdstypes.DBInstance{seen}}, nil
}

func (c *clusters) CreateDBInstance(_ context.Context, in *rds.CreateDBInstanceInput, _ ...func(*rds.Options)) (*rds.CreateDBInstanceOutput, error) {
	c.calls = append(c.calls, "create "+*in.DBInstanceIdentifier)
	if *c.clusters[*in.DBClusterIdentifier].Status != "available" {
		return nil, &rdstypes.InvalidDBClusterStateFault{}
	}
	c.created = append(c.created, in)
	c.instances[*in.DBInstanceIdentifier] = &rdstypes.DBInstance{DBInstanceIdentifier: in.DBInstanceIdentifier, DBInstanceStatus: aws.String("creating")}
	c.clusters[*in.DBClusterIdentifier].DBClusterMembers = []rdstypes.DBClusterMember{{DBInstanceIdentifier: in.DBInstanceIdentifier}}
	return &rds.CreateDBInstanceOutput{}, nil
}

func (c *clusters) DeleteDBInstance(_ context.Context, in *rds.DeleteDBInstanceInput, _ ...func(*rds.Options)) (*rds.DeleteDBInstanceOutput, error) {
	c.calls = append(c.calls, "delete "+*in.DBInstanceIdentifier)
	instance := c.instances[*in.DBInstanceIdentifier]
	if *instance.DBInstanceStatus == "deleting" {
		return nil, &rdstypes.InvalidDBInstanceStateFault{}
	}
	instance.DBInstanceStatus = aws.String("deleting")
	return &rds.DeleteDBInstanceOutput{}, nil
}

func newDatabase(c *clusters, progress func(restore.Progress)) restore.Database {
	return restore.NewDatabase(c, live, restore.Patience{Interval: time.Millisecond, Progress: progress})
}

func TestDatabaseIsBroughtBackBesideTheLiveOne(t *testing.T) {
	c := newClusters()
	var statuses []string
	d := newDatabase(c, func(p restore.Progress) {
		statuses = append(statuses, strings.TrimPrefix(p.Name, copyName)+" "+p.Status)
	})
	p, err := d.Plan(t.Context(), moment.Add(999*time.Millisecond))
	if err != nil || p.Name != copyName || p.Source != live || !p.Moment.Equal(moment) || !p.Earliest.Equal(now.Add(-72*time.Hour)) {
		t.Fatalf("plan %+v, %v", p, err)
	}
	if err := d.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	in := c.restored[0]
	if *in.SourceDBClusterIdentifier != live || !in.RestoreToTime.Equal(moment) || aws.ToBool(in.UseLatestRestorableTime) || in.RestoreType != nil ||
		*in.DBSubnetGroupName != live || !slices.Equal(in.VpcSecurityGroupIds, []string{"sg-1"}) || *in.DBClusterParameterGroupName != live ||
		*in.KmsKeyId != "key" || *in.Port != 3306 || !*in.EnableIAMDatabaseAuthentication || *in.DeletionProtection {
		t.Errorf("restored by %+v", in)
	}
	endpoint, err := d.Wait(t.Context(), p)
	if want := (restore.Endpoint{Cluster: copyName, Writer: "writer.example", Reader: "reader.example", Port: 3306, ResourceID: "cluster-COPY"}); err != nil || endpoint != want {
		t.Errorf("endpoint %+v, %v", endpoint, err)
	}
	if in := c.created[0]; *in.DBClusterIdentifier != copyName || *in.DBInstanceClass != "db.r5.large" || *in.Engine != "aurora-mysql" || *in.PubliclyAccessible {
		t.Errorf("instance by %+v", in)
	}
	if want := []string{" creating", " available", "-1 creating", "-1 available"}; !slices.Equal(statuses, want) {
		t.Errorf("progress %v, want %v", statuses, want)
	}

	// All of it once more does nothing.
	if err := d.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if again, err := d.Wait(t.Context(), p); err != nil || again != endpoint {
		t.Errorf("endpoint %+v, %v", again, err)
	}
	if want := []string{"restore " + copyName, "create " + copyName + "-1"}; !slices.Equal(c.calls, want) {
		t.Errorf("calls %v, want %v", c.calls, want)
	}

	c.calls = nil
	if err := d.CleanUp(t.Context(), p.Name); err != nil {
		t.Fatal(err)
	}
	if err := d.CleanUp(t.Context(), p.Name); err != nil {
		t.Errorf("gone already: %v", err)
	}
	if want := []string{"delete " + copyName + "-1", "delete " + copyName}; !slices.Equal(c.calls, want) {
		t.Errorf("calls %v, want %v", c.calls, want)
	}
	if _, ok := c.clusters[live]; !ok || len(c.clusters) != 1 {
		t.Errorf("left are %d clusters", len(c.clusters))
	}
}

func TestMomentsOutsideTheWindow(t *testing.T) {
	c, tables := newClusters(), newTables()
	for _, at := range []time.Time{now.Add(-72*time.Hour - time.Second), now.Add(-4 * time.Minute), now.Add(time.Hour)} {
		var outside *restore.OutsideWindowError
		if _, err := newDatabase(c, nil).Plan(t.Context(), at); !errors.As(err, &outside) || !outside.Earliest.Equal(now.Add(-72*time.Hour)) ||
			!strings.Contains(err.Error(), "allowed are moments from 2026-11-19T14:36:33Z to 2026-11-22T14:31:33Z") {
			t.Errorf("cluster, %v: %v", at, err)
		}
		if _, err := newTable(tables).Plan(t.Context(), at); !errors.As(err, &outside) || outside.Source != "payment-dev-sessions" {
			t.Errorf("table, %v: %v", at, err)
		}
	}
	for _, at := range []time.Time{now.Add(-72 * time.Hour), now.Add(-5 * time.Minute)} {
		if _, err := newDatabase(c, nil).Plan(t.Context(), at); err != nil {
			t.Errorf("cluster, %v: %v", at, err)
		}
		if _, err := newTable(tables).Plan(t.Context(), at); err != nil {
			t.Errorf("table, %v: %v", at, err)
		}
	}
	c.clusters[live].EarliestRestorableTime = nil
	tables.off = true
	var none *restore.NoWindowError
	if _, err := newDatabase(c, nil).Plan(t.Context(), moment); !errors.As(err, &none) {
		t.Errorf("cluster without a window: %v", err)
	}
	if _, err := newTable(tables).Plan(t.Context(), moment); !errors.As(err, &none) {
		t.Errorf("table without a window: %v", err)
	}
}

func TestANameThatIsTaken(t *testing.T) {
	c := newClusters()
	d := newDatabase(c, nil)
	p, err := d.Plan(t.Context(), moment)
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.Plan(t.Context(), moment.Add(5*time.Second)) // of the same minute
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var occupied *restore.OccupiedError
	if err := d.Start(t.Context(), other); !errors.As(err, &occupied) || occupied.Holds != live+" as of 2026-11-19T15:36:33Z" {
		t.Errorf("another second: %v", err)
	}
	if _, err := d.Plan(t.Context(), other.Moment); !errors.As(err, &occupied) {
		t.Errorf("another second is planned: %v", err)
	}
	c.clusters[copyName].TagList = nil
	if err := d.Start(t.Context(), p); !errors.As(err, &occupied) {
		t.Errorf("somebody's: %v", err)
	}
	var kept *restore.NotACopyError
	for _, name := range []string{copyName, live} {
		if err := d.CleanUp(t.Context(), name); !errors.As(err, &kept) {
			t.Errorf("%s is removed: %v", name, err)
		}
	}
	if _, err := d.Wait(t.Context(), p); !errors.As(err, &occupied) {
		t.Errorf("somebody's is waited for: %v", err)
	}
	if want := []string{"restore " + copyName}; !slices.Equal(c.calls, want) {
		t.Errorf("calls %v", c.calls)
	}

	c = newClusters()
	c.raced = true
	if err := newDatabase(c, nil).Start(t.Context(), p); err != nil {
		t.Errorf("started by another at the same time: %v", err)
	}
}

func TestWaitingEnds(t *testing.T) {
	c := newClusters()
	c.end = "inaccessible-encryption-credentials"
	d := newDatabase(c, nil)
	p, err := d.Plan(t.Context(), moment)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Wait(t.Context(), p); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("nothing was started: %v", err)
	}
	if err := d.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var failed *restore.FailedError
	if _, err := d.Wait(t.Context(), p); !errors.As(err, &failed) || failed.Status != c.end {
		t.Errorf("error %v", err)
	}
	c.clusters[copyName].Status = aws.String("backing-up")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.Wait(ctx, p); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	c.err = errors.New("throttled")
	if err := d.Start(t.Context(), p); !errors.Is(err, c.err) {
		t.Errorf("error %v", err)
	}
}

// tables is a DynamoDB of one table and its copies.
type tables struct {
	tables map[string]*dynamodbtypes.TableDescription
	calls  []string
	off    bool
	raced  bool
	in     *dynamodb.RestoreTableToPointInTimeInput
}

const (
	sessions  = "payment-dev-sessions"
	tableCopy = sessions + "-restore-202611191536"
)

func newTables() *tables {
	return &tables{tables: map[string]*dynamodbtypes.TableDescription{sessions: {
		TableName: aws.String(sessions), TableStatus: dynamodbtypes.TableStatusActive, Replicas: make([]dynamodbtypes.ReplicaDescription, 1),
	}}}
}

func (f *tables) DescribeContinuousBackups(context.Context, *dynamodb.DescribeContinuousBackupsInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeContinuousBackupsOutput, error) {
	window := &dynamodbtypes.PointInTimeRecoveryDescription{
		PointInTimeRecoveryStatus: dynamodbtypes.PointInTimeRecoveryStatusEnabled, RecoveryPeriodInDays: aws.Int32(3),
		EarliestRestorableDateTime: aws.Time(now.Add(-72 * time.Hour)), LatestRestorableDateTime: aws.Time(now.Add(-5 * time.Minute)),
	}
	if f.off {
		window = &dynamodbtypes.PointInTimeRecoveryDescription{PointInTimeRecoveryStatus: dynamodbtypes.PointInTimeRecoveryStatusDisabled}
	}
	return &dynamodb.DescribeContinuousBackupsOutput{ContinuousBackupsDescription: &dynamodbtypes.ContinuousBackupsDescription{PointInTimeRecoveryDescription: window}}, nil
}

func (f *tables) RestoreTableToPointInTime(_ context.Context, in *dynamodb.RestoreTableToPointInTimeInput, _ ...func(*dynamodb.Options)) (*dynamodb.RestoreTableToPointInTimeOutput, error) {
	f.calls, f.in = append(f.calls, "restore "+*in.TargetTableName), in
	f.tables[*in.TargetTableName] = &dynamodbtypes.TableDescription{
		TableName: in.TargetTableName, TableArn: aws.String("arn:copy"), TableStatus: dynamodbtypes.TableStatusCreating,
		GlobalSecondaryIndexes: []dynamodbtypes.GlobalSecondaryIndexDescription{{IndexStatus: dynamodbtypes.IndexStatusCreating}},
		RestoreSummary: &dynamodbtypes.RestoreSummary{
			RestoreDateTime: in.RestoreDateTime, SourceTableArn: aws.String("arn:aws:dynamodb:us-east-1:111122223333:table/" + *in.SourceTableName),
		},
	}
	if f.raced {
		return nil, &dynamodbtypes.TableAlreadyExistsException{}
	}
	return &dynamodb.RestoreTableToPointInTimeOutput{}, nil
}

func (f *tables) DescribeTable(_ context.Context, in *dynamodb.DescribeTableInput, _ ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error) {
	table, ok := f.tables[*in.TableName]
	if !ok {
		return nil, &dynamodbtypes.ResourceNotFoundException{}
	}
	seen := *table
	seen.GlobalSecondaryIndexes = slices.Clone(table.GlobalSecondaryIndexes)
	switch {
	case table.TableStatus == dynamodbtypes.TableStatusCreating:
		table.TableStatus = dynamodbtypes.TableStatusActive
	case table.TableStatus == dynamodbtypes.TableStatusDeleting:
		delete(f.tables, *in.TableName)
	case len(table.GlobalSecondaryIndexes) > 0:
		table.GlobalSecondaryIndexes[0].IndexStatus = dynamodbtypes.IndexStatusActive
	}
	return &dynamodb.DescribeTableOutput{Table: &seen}, nil
}

func (f *tables) ListTables(_ context.Context, in *dynamodb.ListTablesInput, _ ...func(*dynamodb.Options)) (*dynamodb.ListTablesOutput, error) {
	names := slices.Sorted(maps.Keys(f.tables))
	i := 0
	if in.ExclusiveStartTableName != nil {
		i = slices.Index(names, *in.ExclusiveStartTableName) + 1
	}
	out := &dynamodb.ListTablesOutput{TableNames: names[i : i+1]} // a page each
	if i+1 < len(names) {
		out.LastEvaluatedTableName = &names[i]
	}
	return out, nil
}

func (f *tables) DeleteTable(_ context.Context, in *dynamodb.DeleteTableInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteTableOutput, error) {
	f.calls = append(f.calls, "delete "+*in.TableName)
	f.tables[*in.TableName].TableStatus = dynamodbtypes.TableStatusDeleting
	return &dynamodb.DeleteTableOutput{}, nil
}

func newTable(f *tables) restore.Table {
	return restore.NewTable(f, sessions, restore.Patience{Interval: time.Millisecond})
}

func TestTableIsBroughtBackBesideTheLiveOne(t *testing.T) {
	f := newTables()
	table := newTable(f)
	var statuses []string
	table.Patience.Progress = func(p restore.Progress) { statuses = append(statuses, p.Status) }
	p, err := table.Plan(t.Context(), moment)
	if err != nil || p.Name != tableCopy || p.Source != sessions {
		t.Fatalf("plan %+v, %v", p, err)
	}
	for range 2 {
		if err := table.Start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if arn, err := table.Wait(t.Context(), p); err != nil || arn != "arn:copy" {
			t.Fatalf("%s, %v", arn, err)
		}
	}
	if *f.in.SourceTableName != sessions || !f.in.RestoreDateTime.Equal(moment) || aws.ToBool(f.in.UseLatestRestorableTime) {
		t.Errorf("restored by %+v", f.in)
	}
	// The second time, everything is there.
	if want := []string{"CREATING", "ACTIVE, index CREATING", "ACTIVE", "ACTIVE"}; !slices.Equal(statuses, want) {
		t.Errorf("progress %v, want %v", statuses, want)
	}
	for range 2 {
		if err := table.CleanUp(t.Context(), p.Name); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"restore " + tableCopy, "delete " + tableCopy}; !slices.Equal(f.calls, want) {
		t.Errorf("calls %v, want %v", f.calls, want)
	}
	var kept *restore.NotACopyError
	if err := table.CleanUp(t.Context(), sessions); !errors.As(err, &kept) {
		t.Errorf("the live table is removed: %v", err)
	}

	f.raced = true
	if err := table.Start(t.Context(), p); err != nil {
		t.Errorf("started by another at the same time: %v", err)
	}
	other := p
	other.Moment = p.Moment.Add(time.Second)
	var occupied *restore.OccupiedError
	if err := table.Start(t.Context(), other); !errors.As(err, &occupied) || occupied.Holds != sessions+" as of 2026-11-19T15:36:33Z" {
		t.Errorf("another second: %v", err)
	}
	f.tables[tableCopy].RestoreSummary = nil
	if err := table.CleanUp(t.Context(), tableCopy); !errors.As(err, &kept) {
		t.Errorf("somebody's is removed: %v", err)
	}
	f.tables[tableCopy].TableStatus = dynamodbtypes.TableStatusInaccessibleEncryptionCredentials
	f.tables[tableCopy].RestoreSummary = &dynamodbtypes.RestoreSummary{RestoreDateTime: &p.Moment, SourceTableArn: aws.String("arn:aws:dynamodb:us-east-1:111122223333:table/" + sessions)}
	var failed *restore.FailedError
	if _, err := table.Wait(t.Context(), p); !errors.As(err, &failed) {
		t.Errorf("error %v", err)
	}
}

// What is listed is what was brought back from this source, page for page: neither the live one, nor somebody else's of such a name.
func TestCopiesAreListed(t *testing.T) {
	c, f := newClusters(), newTables()
	d, table := newDatabase(c, nil), newTable(f)
	if copies, err := d.Copies(t.Context()); err != nil || len(copies) != 0 {
		t.Errorf("%v, %v", copies, err)
	}
	p, err := d.Plan(t.Context(), moment)
	if err != nil {
		t.Fatal(err)
	}
	q, err := table.Plan(t.Context(), moment)
	if err != nil {
		t.Fatal(err)
	}
	if p.Begun || q.Begun {
		t.Errorf("begun %t, %t", p.Begun, q.Begun)
	}
	if err := errors.Join(d.Start(t.Context(), p), table.Start(t.Context(), q)); err != nil {
		t.Fatal(err)
	}
	// The same copies are found when the window has passed.
	c.clusters[live].EarliestRestorableTime = aws.Time(now)
	for _, plan := range []func(context.Context, time.Time) (restore.Plan, error){d.Plan, table.Plan} {
		if again, err := plan(t.Context(), moment.Add(300*time.Millisecond)); !again.Begun || err != nil {
			t.Errorf("begun %t, %v", again.Begun, err)
		}
	}
	other := "payment-prod-us-east-1-restore-202611191536"
	for name, tags := range map[string][]rdstypes.Tag{live + "-restore-failover": nil, other: {{Key: aws.String("payment:restore-of"), Value: aws.String("payment-prod-us-east-1")}}} {
		c.clusters[name] = &rdstypes.DBCluster{DBClusterIdentifier: aws.String(name), Status: aws.String("available"), TagList: tags}
	}
	f.tables[sessions+"-restore-somebodys"] = &dynamodbtypes.TableDescription{TableStatus: dynamodbtypes.TableStatusActive}
	copies, err := d.Copies(t.Context())
	if want := (restore.Copy{Name: copyName, Source: live, Moment: moment, Status: "available"}); err != nil || len(copies) != 1 || copies[0] != want {
		t.Errorf("clusters %+v, %v", copies, err)
	}
	copies, err = table.Copies(t.Context())
	if err != nil || len(copies) != 1 || copies[0].Name != tableCopy || copies[0].Source != sessions || !copies[0].Moment.Equal(moment) {
		t.Errorf("tables %+v, %v", copies, err)
	}
	if at, err := d.Live(t.Context()); err != nil || at.Cluster != live || at.Port != 3306 {
		t.Errorf("live %+v, %v", at, err)
	}
	c.err = errors.New("no")
	if _, err := d.Copies(t.Context()); err == nil {
		t.Error("a list that nobody gave")
	}
}

// A wait outlasts answers that do not come, if it is told to, and no others.
func TestWaitingOutlastsAnswersThatDoNotCome(t *testing.T) {
	c := newClusters()
	var asked []string
	d := newDatabase(c, nil)
	p, err := d.Plan(t.Context(), moment)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	c.fails = 1
	if _, err := d.Wait(t.Context(), p); err == nil {
		t.Error("nothing was tolerated, and it went on")
	}
	d.Patience.Tolerate = func(name string, err error) bool {
		asked = append(asked, name+": "+err.Error())
		return len(asked) < 4
	}
	c.fails = 3
	if _, err := d.Wait(t.Context(), p); err != nil || len(asked) != 3 || !strings.Contains(asked[0], copyName+": describe cluster "+copyName) {
		t.Errorf("%v, asked %q", err, asked)
	}
	c.fails, asked = 100, nil
	if _, err := d.Wait(t.Context(), p); err == nil || len(asked) != 4 {
		t.Errorf("%v, asked %q", err, asked)
	}
}
