package restore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"payments-dr/internal/operate/restore"
	"payments-dr/internal/simulation/localmoto"
)

// moto restores at once, and windows are not its affair.
func TestAgainstMoto(t *testing.T) {
	config := localmoto.Start(t)
	t.Run("database", func(t *testing.T) {
		client := rds.NewFromConfig(config)
		if _, err := client.CreateDBCluster(t.Context(), &rds.CreateDBClusterInput{
			DBClusterIdentifier: aws.String(live), Engine: aws.String("aurora-mysql"), MasterUsername: aws.String("master"), MasterUserPassword: aws.String("simulated"),
			StorageEncrypted: aws.Bool(true), EnableIAMDatabaseAuthentication: aws.Bool(true),
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.CreateDBInstance(t.Context(), &rds.CreateDBInstanceInput{
			DBInstanceIdentifier: aws.String(live + "-1"), DBClusterIdentifier: aws.String(live), DBInstanceClass: aws.String("db.r5.large"), Engine: aws.String("aurora-mysql"),
		}); err != nil {
			t.Fatal(err)
		}
		d := restore.NewDatabase(client, live, restore.Patience{Interval: 10 * time.Millisecond})
		p := restore.Plan{Source: live, Name: copyName, Moment: moment}
		for range 2 {
			if err := d.Start(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			endpoint, err := d.Wait(t.Context(), p)
			if err != nil || endpoint.Writer == "" || endpoint.ResourceID == "" {
				t.Fatalf("%+v, %v", endpoint, err)
			}
		}
		if copies, err := d.Copies(t.Context()); err != nil || len(copies) != 1 || copies[0] != (restore.Copy{Name: copyName, Source: live, Moment: moment, Status: "available"}) {
			t.Errorf("copies %+v, %v", copies, err)
		}
		out, err := client.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(copyName + "-1")})
		if err != nil || *out.DBInstances[0].DBInstanceClass != "db.r5.large" {
			t.Errorf("instance %+v, %v", out, err)
		}
		for range 2 {
			if err := d.CleanUp(t.Context(), p.Name); err != nil {
				t.Fatal(err)
			}
		}
		left, err := client.DescribeDBClusters(t.Context(), &rds.DescribeDBClustersInput{})
		if err != nil || len(left.DBClusters) != 1 || *left.DBClusters[0].DBClusterIdentifier != live {
			t.Errorf("left are %+v, %v", left, err)
		}
	})
	t.Run("table", func(t *testing.T) {
		client := dynamodb.NewFromConfig(config)
		key := func(name string, kind dynamodbtypes.KeyType) dynamodbtypes.KeySchemaElement {
			return dynamodbtypes.KeySchemaElement{AttributeName: &name, KeyType: kind}
		}
		if _, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: aws.String(sessions), BillingMode: dynamodbtypes.BillingModePayPerRequest,
			KeySchema:            []dynamodbtypes.KeySchemaElement{key("session_id", dynamodbtypes.KeyTypeHash)},
			AttributeDefinitions: []dynamodbtypes.AttributeDefinition{{AttributeName: aws.String("session_id"), AttributeType: dynamodbtypes.ScalarAttributeTypeS}},
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.UpdateContinuousBackups(t.Context(), &dynamodb.UpdateContinuousBackupsInput{TableName: aws.String(sessions),
			PointInTimeRecoverySpecification: &dynamodbtypes.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)}}); err != nil {
			t.Fatal(err)
		}
		table := restore.NewTable(client, sessions, restore.Patience{Interval: 10 * time.Millisecond})
		var outside *restore.OutsideWindowError
		if _, err := table.Plan(t.Context(), moment); !errors.As(err, &outside) { // moto's window is one moment
			t.Errorf("error %v", err)
		}
		p := restore.Plan{Source: sessions, Name: tableCopy, Moment: moment}
		if err := table.Start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		// moto notes the moment at which it restored where DynamoDB notes the one to which.
		var occupied *restore.OccupiedError
		if _, err := table.Wait(t.Context(), p); !errors.As(err, &occupied) || !strings.HasPrefix(occupied.Holds, sessions+" as of ") {
			t.Errorf("error %v", err)
		}
		if copies, err := table.Copies(t.Context()); err != nil || len(copies) != 1 || copies[0].Name != tableCopy || copies[0].Source != sessions {
			t.Errorf("copies %+v, %v", copies, err)
		}
		for range 2 {
			if err := table.CleanUp(t.Context(), p.Name); err != nil {
				t.Fatal(err)
			}
		}
	})
}
