package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// Database brings back an Aurora cluster.
type Database struct {
	// Client is RDS's in the cluster's Region.
	Client ClusterAPI
	// Cluster is the live cluster's identifier. Take the Region whose cluster is the writer: a standby's window is that of its own
	// storage.
	Cluster  string
	Patience Patience
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

// Plan checks that the cluster can be brought back to a moment. The error is an OutsideWindowError if not.
func (d Database) Plan(ctx context.Context, moment time.Time) (Plan, error) {
	live, err := d.describe(ctx, d.Cluster)
	if err != nil {
		return Plan{}, err
	}
	if live.EarliestRestorableTime == nil || live.LatestRestorableTime == nil {
		return Plan{}, &NoWindowError{d.Cluster}
	}
	return plan(d.Cluster, moment, *live.EarliestRestorableTime, *live.LatestRestorableTime)
}

// Begun reports whether the copy of a plan is there, or on its way.
func (d Database) Begun(ctx context.Context, p Plan) (bool, error) {
	found, err := d.find(ctx, p)
	return found != nil, err
}

// Live is where the live cluster is reached.
func (d Database) Live(ctx context.Context) (Endpoint, error) {
	live, err := d.describe(ctx, d.Cluster)
	if err != nil {
		return Endpoint{}, err
	}
	return endpoint(live), nil
}

// Copies are all that was brought back from the cluster and is there, in the order of their names.
func (d Database) Copies(ctx context.Context) ([]Copy, error) {
	var copies []Copy
	pages := rds.NewDescribeDBClustersPaginator(d.Client, &rds.DescribeDBClustersInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list clusters: %w", err)
		}
		for _, cluster := range page.DBClusters {
			name := aws.ToString(cluster.DBClusterIdentifier)
			if !strings.HasPrefix(name, d.Cluster+nameMark) || tag(&cluster, tagSource) != d.Cluster {
				continue
			}
			moment, _ := time.Parse(time.RFC3339, tag(&cluster, tagMoment))
			copies = append(copies, Copy{Name: name, Source: d.Cluster, Moment: moment, Status: aws.ToString(cluster.Status)})
		}
	}
	slices.SortFunc(copies, func(a, b Copy) int { return strings.Compare(a.Name, b.Name) })
	return copies, nil
}

// Start starts the restore, or finds that it was started before. The copy gets the live cluster's network, parameters and key.
func (d Database) Start(ctx context.Context, p Plan) error {
	if found, err := d.find(ctx, p); err != nil || found != nil {
		return err
	}
	live, err := d.describe(ctx, p.Source)
	if err != nil {
		return err
	}
	var groups []string
	for _, group := range live.VpcSecurityGroups {
		groups = append(groups, aws.ToString(group.VpcSecurityGroupId))
	}
	_, err = d.Client.RestoreDBClusterToPointInTime(ctx, &rds.RestoreDBClusterToPointInTimeInput{
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
	if _, there := errors.AsType[*types.DBClusterAlreadyExistsFault](err); there { // started by another just now
		_, err = d.find(ctx, p)
		return err
	}
	if err != nil {
		return fmt.Errorf("restore cluster %s: %w", p.Name, err)
	}
	return nil
}

// Wait waits for a copy that was started and hands it over. A restored cluster comes without instances ("Restoring a DB cluster
// to a specified time", Amazon Aurora User Guide), so it gets one, of the class that the live one's have.
func (d Database) Wait(ctx context.Context, p Plan) (Endpoint, error) {
	var cluster *types.DBCluster
	err := d.Patience.until(ctx, p.Name, func() (string, bool, error) {
		found, err := d.find(ctx, p)
		if err == nil && found == nil {
			err = fmt.Errorf("wait for cluster %s: there is none", p.Name)
		}
		if err != nil {
			return "", false, err
		}
		cluster = found
		return state(p.Name, aws.ToString(cluster.Status))
	})
	if err != nil {
		return Endpoint{}, err
	}
	instance := p.Name + "-1"
	if err := d.createInstance(ctx, p, instance); err != nil {
		return Endpoint{}, err
	}
	err = d.Patience.until(ctx, instance, func() (string, bool, error) {
		found, err := d.instance(ctx, instance)
		if err == nil && found == nil {
			err = fmt.Errorf("wait for instance %s: there is none", instance)
		}
		if err != nil {
			return "", false, err
		}
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
	_, err = d.Client.CreateDBInstance(ctx, &rds.CreateDBInstanceInput{
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

// CleanUp removes a copy, by its name, and waits until it is gone. It takes no final snapshot: what was brought back can be
// brought back again. One that is gone already is no error; what is not a copy is left alone, with a NotACopyError.
func (d Database) CleanUp(ctx context.Context, name string) error {
	if !strings.Contains(name, nameMark) {
		return &NotACopyError{name}
	}
	cluster, err := d.lookUp(ctx, name)
	if err != nil || cluster == nil {
		return err
	}
	if tag(cluster, tagSource) == "" || aws.ToString(cluster.GlobalClusterIdentifier) != "" {
		return &NotACopyError{name}
	}
	for _, member := range cluster.DBClusterMembers {
		_, err := d.Client.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{
			DBInstanceIdentifier: member.DBInstanceIdentifier, SkipFinalSnapshot: aws.Bool(true),
		})
		if err != nil && !underWay(err) {
			return fmt.Errorf("delete instance %s: %w", aws.ToString(member.DBInstanceIdentifier), err)
		}
	}
	// A cluster may be deleted when all its instances are being deleted ("Deleting Aurora DB clusters and DB instances", Amazon
	// Aurora User Guide).
	_, err = d.Client.DeleteDBCluster(ctx, &rds.DeleteDBClusterInput{DBClusterIdentifier: &name, SkipFinalSnapshot: aws.Bool(true)})
	if err != nil && !(underWay(err) && aws.ToString(cluster.Status) == "deleting") {
		if _, gone := errors.AsType[*types.DBClusterNotFoundFault](err); !gone {
			return fmt.Errorf("delete cluster %s: %w", name, err)
		}
	}
	return d.Patience.until(ctx, name, func() (string, bool, error) {
		cluster, err := d.lookUp(ctx, name)
		if err != nil || cluster == nil {
			return "gone", true, err
		}
		return aws.ToString(cluster.Status), false, nil
	})
}

// underWay reports whether something cannot be deleted because it is being deleted, or is gone.
func underWay(err error) bool {
	_, gone := errors.AsType[*types.DBInstanceNotFoundFault](err)
	_, instance := errors.AsType[*types.InvalidDBInstanceStateFault](err)
	_, cluster := errors.AsType[*types.InvalidDBClusterStateFault](err)
	return gone || instance || cluster
}

// find is the copy of a plan, nil if there is none.
func (d Database) find(ctx context.Context, p Plan) (*types.DBCluster, error) {
	cluster, err := d.lookUp(ctx, p.Name)
	if err != nil || cluster == nil {
		return nil, err
	}
	source, moment := tag(cluster, tagSource), tag(cluster, tagMoment)
	switch {
	case source == "":
		return nil, &OccupiedError{Name: p.Name, Holds: "a cluster that was not brought back"}
	case source != p.Source || moment != p.Moment.Format(time.RFC3339):
		return nil, &OccupiedError{Name: p.Name, Holds: source + " as of " + moment}
	}
	return cluster, nil
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
	out, err := d.Client.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: &name})
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
	out, err := d.Client.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &name})
	if _, none := errors.AsType[*types.DBInstanceNotFoundFault](err); none || err == nil && len(out.DBInstances) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe instance %s: %w", name, err)
	}
	return &out.DBInstances[0], nil
}
