package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// ClusterAPI is what is asked of RDS.
type ClusterAPI interface {
	DescribeDBClusters(context.Context, *rds.DescribeDBClustersInput, ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error)
	RestoreDBClusterToPointInTime(context.Context, *rds.RestoreDBClusterToPointInTimeInput, ...func(*rds.Options)) (*rds.RestoreDBClusterToPointInTimeOutput, error)
	DeleteDBCluster(context.Context, *rds.DeleteDBClusterInput, ...func(*rds.Options)) (*rds.DeleteDBClusterOutput, error)
	DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error)
	CreateDBInstance(context.Context, *rds.CreateDBInstanceInput, ...func(*rds.Options)) (*rds.CreateDBInstanceOutput, error)
	DeleteDBInstance(context.Context, *rds.DeleteDBInstanceInput, ...func(*rds.Options)) (*rds.DeleteDBInstanceOutput, error)
}

var _ ClusterAPI = (*rds.Client)(nil)

// The tags by which a copy knows what it is.
const (
	tagSource = "payment:restore-of"
	tagMoment = "payment:restore-to"
)

// Database brings back an Aurora cluster. A copy carries its source and its moment as tags.
type Database struct {
	copies[types.DBCluster]
	client ClusterAPI
}

// NewDatabase is the copies of a cluster. client is RDS's in the cluster's Region. Choose the Region whose cluster is the writer: a
// standby's window is that of its own storage.
func NewDatabase(client ClusterAPI, cluster string, patience Patience) Database {
	d := Database{client: client}
	d.copies = copies[types.DBCluster]{
		live: cluster, kind: "cluster", Patience: patience,
		lookUp: d.lookUp, list: d.list, restore: d.restoreCluster, remove: d.remove,
		tell: func(cluster *types.DBCluster) Copy {
			told := Copy{Name: aws.ToString(cluster.DBClusterIdentifier), Status: aws.ToString(cluster.Status)}
			if cluster.GlobalClusterIdentifier == nil {
				told.Source = tag(cluster, tagSource)
				told.Moment, _ = time.Parse(time.RFC3339, tag(cluster, tagMoment))
			}
			return told
		},
		window: func(ctx context.Context) (earliest, latest *time.Time, err error) {
			live, err := d.describe(ctx, cluster)
			if err != nil {
				return nil, nil, err
			}
			return live.EarliestRestorableTime, live.LatestRestorableTime, nil
		},
	}
	return d
}

// Endpoint is a copy that can be used. It is a cluster of its own, with the users and passwords of the moment; no global
// database, no function and no client knows it.
type Endpoint struct {
	Cluster string
	// Writer and Reader are host names.
	Writer, Reader string
	Port           int
	// ResourceID is the name by which IAM allows a database user to connect.
	ResourceID string
}

// Live is where the live cluster is reached.
func (d Database) Live(ctx context.Context) (Endpoint, error) {
	live, err := d.describe(ctx, d.live)
	if err != nil {
		return Endpoint{}, err
	}
	return endpoint(live), nil
}

func (d Database) list(ctx context.Context, prefix string) ([]*types.DBCluster, error) {
	var found []*types.DBCluster
	pages := rds.NewDescribeDBClustersPaginator(d.client, &rds.DescribeDBClustersInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list clusters: %w", err)
		}
		for _, cluster := range page.DBClusters {
			if strings.HasPrefix(aws.ToString(cluster.DBClusterIdentifier), prefix) {
				found = append(found, &cluster)
			}
		}
	}
	return found, nil
}

// restoreCluster gives the copy the live cluster's network, parameters and key.
func (d Database) restoreCluster(ctx context.Context, p Plan) (taken bool, err error) {
	live, err := d.describe(ctx, p.Source)
	if err != nil {
		return false, err
	}
	var groups []string
	for _, group := range live.VpcSecurityGroups {
		groups = append(groups, aws.ToString(group.VpcSecurityGroupId))
	}
	_, err = d.client.RestoreDBClusterToPointInTime(ctx, &rds.RestoreDBClusterToPointInTimeInput{
		SourceDBClusterIdentifier:   &p.Source,
		DBClusterIdentifier:         &p.Name,
		RestoreToTime:               &p.Moment,
		DBSubnetGroupName:           live.DBSubnetGroup,
		VpcSecurityGroupIds:         groups,
		DBClusterParameterGroupName: live.DBClusterParameterGroup,
		Port:                        live.Port,
		KmsKeyId:                    live.KmsKeyId,
		// Neither is taken over from the source.
		EnableIAMDatabaseAuthentication: live.IAMDatabaseAuthenticationEnabled,
		DeletionProtection:              aws.Bool(false),
		CopyTagsToSnapshot:              aws.Bool(true),
		Tags: []types.Tag{
			{Key: aws.String(tagSource), Value: &p.Source},
			{Key: aws.String(tagMoment), Value: aws.String(p.Moment.Format(time.RFC3339))},
		},
	})
	_, taken = errors.AsType[*types.DBClusterAlreadyExistsFault](err)
	return taken, err
}

// Wait waits for a copy that was started and hands it over. A restored cluster comes without instances ("Restoring a DB cluster
// to a specified time", Amazon Aurora User Guide), so it gets one, of the class that the live one's have.
func (d Database) Wait(ctx context.Context, p Plan) (Endpoint, error) {
	cluster, err := d.wait(ctx, p, func(cluster *types.DBCluster) (string, bool, error) {
		return state(p.Name, aws.ToString(cluster.Status))
	})
	if err != nil {
		return Endpoint{}, err
	}
	instance := p.Name + "-1"
	if err := d.createInstance(ctx, p, instance); err != nil {
		return Endpoint{}, err
	}
	_, err = await(ctx, d.Patience, "instance", instance, func() (*types.DBInstance, error) { return d.instance(ctx, instance) },
		func(found *types.DBInstance) (string, bool, error) {
			return state(instance, aws.ToString(found.DBInstanceStatus))
		})
	if err != nil {
		return Endpoint{}, err
	}
	return endpoint(cluster), nil
}

func endpoint(cluster *types.DBCluster) Endpoint {
	return Endpoint{
		Cluster: aws.ToString(cluster.DBClusterIdentifier), Writer: aws.ToString(cluster.Endpoint), Reader: aws.ToString(cluster.ReaderEndpoint),
		Port: int(aws.ToInt32(cluster.Port)), ResourceID: aws.ToString(cluster.DbClusterResourceId),
	}
}

// state is whether a status is what is waited for.
func state(name, status string) (string, bool, error) {
	if failed(status) {
		return status, false, &FailedError{Name: name, Status: status}
	}
	return status, status == "available", nil
}

func (d Database) createInstance(ctx context.Context, p Plan, name string) error {
	found, err := d.instance(ctx, name)
	if err != nil || found != nil {
		return err
	}
	live, err := d.describe(ctx, p.Source)
	if err != nil {
		return err
	}
	if len(live.DBClusterMembers) == 0 {
		return fmt.Errorf("create instance %s: %s has none to take the class from", name, p.Source)
	}
	model, err := d.instance(ctx, aws.ToString(live.DBClusterMembers[0].DBInstanceIdentifier))
	if err != nil {
		return err
	}
	if model == nil {
		return fmt.Errorf("create instance %s: the instance of %s is gone", name, p.Source)
	}
	_, err = d.client.CreateDBInstance(ctx, &rds.CreateDBInstanceInput{
		DBInstanceIdentifier:    &name,
		DBClusterIdentifier:     &p.Name,
		DBInstanceClass:         model.DBInstanceClass,
		Engine:                  live.Engine,
		PubliclyAccessible:      aws.Bool(false),
		AutoMinorVersionUpgrade: aws.Bool(false),
		CACertificateIdentifier: model.CACertificateIdentifier,
	})
	if _, there := errors.AsType[*types.DBInstanceAlreadyExistsFault](err); err != nil && !there {
		return fmt.Errorf("create instance %s: %w", name, err)
	}
	return nil
}

// remove takes no final snapshot: what was restored can be restored again.
func (d Database) remove(ctx context.Context, cluster *types.DBCluster) error {
	for _, member := range cluster.DBClusterMembers {
		_, err := d.client.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{
			DBInstanceIdentifier: member.DBInstanceIdentifier, SkipFinalSnapshot: aws.Bool(true),
		})
		if err != nil && !underWay(err) {
			return fmt.Errorf("delete instance %s: %w", aws.ToString(member.DBInstanceIdentifier), err)
		}
	}
	// A cluster may be deleted when all its instances are being deleted ("Deleting Aurora DB clusters and DB instances", Amazon
	// Aurora User Guide).
	_, err := d.client.DeleteDBCluster(ctx, &rds.DeleteDBClusterInput{DBClusterIdentifier: cluster.DBClusterIdentifier, SkipFinalSnapshot: aws.Bool(true)})
	if err != nil && !(underWay(err) && aws.ToString(cluster.Status) == "deleting") {
		if _, gone := errors.AsType[*types.DBClusterNotFoundFault](err); !gone {
			return fmt.Errorf("delete cluster %s: %w", aws.ToString(cluster.DBClusterIdentifier), err)
		}
	}
	return nil
}

// underWay reports whether something cannot be deleted because it is being deleted, or is gone.
func underWay(err error) bool {
	_, gone := errors.AsType[*types.DBInstanceNotFoundFault](err)
	_, instance := errors.AsType[*types.InvalidDBInstanceStateFault](err)
	_, cluster := errors.AsType[*types.InvalidDBClusterStateFault](err)
	return gone || instance || cluster
}

func tag(cluster *types.DBCluster, key string) string {
	for _, t := range cluster.TagList {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

// lookUp is a cluster, nil if there is none.
func (d Database) lookUp(ctx context.Context, name string) (*types.DBCluster, error) {
	out, err := d.client.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: &name})
	if _, none := errors.AsType[*types.DBClusterNotFoundFault](err); none || err == nil && len(out.DBClusters) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe cluster %s: %w", name, err)
	}
	return &out.DBClusters[0], nil
}

// describe is a cluster that has to be there.
func (d Database) describe(ctx context.Context, name string) (*types.DBCluster, error) {
	cluster, err := d.lookUp(ctx, name)
	if err == nil && cluster == nil {
		err = fmt.Errorf("describe cluster %s: there is none", name)
	}
	return cluster, err
}

// instance is an instance, nil if there is none.
func (d Database) instance(ctx context.Context, name string) (*types.DBInstance, error) {
	out, err := d.client.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &name})
	if _, none := errors.AsType[*types.DBInstanceNotFoundFault](err); none || err == nil && len(out.DBInstances) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe instance %s: %w", name, err)
	}
	return &out.DBInstances[0], nil
}
