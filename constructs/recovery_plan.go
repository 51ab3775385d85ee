package constructs

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsarcregionswitch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/settings"
)

// The plan's steps, by name: what an operator sees, and skips or approves by.
const (
	StepApprove     = "approve"
	StepPromote     = "promote the database"
	StepStartLedger = "start the ledger here"
	StepFinish      = "reconcile, move payments, stop the other ledger"
	StepReconcile   = "reconcile"
	StepTraffic     = "move payments here"
	StepStopLedger  = "stop the other ledger"
)

const (
	// reconcileRetryMinutes is how soon a reconciliation that failed is tried again.
	reconcileRetryMinutes = 1
	// automaticPauseMinutes keeps two automatic recoveries apart: what needs a second one within the hour needs a person.
	automaticPauseMinutes = 60
)

// RecoveryPlanName is the plan's name; its ARN ends in this and a suffix that AWS gives.
func RecoveryPlanName(s *settings.Settings) string { return "payment-" + s.Environment }

// RecoveryPlanARNs matches the plan's ARN, for policies that are made before the plan or where it cannot be referred to.
func RecoveryPlanARNs(scope constructs.Construct, s *settings.Settings) *string {
	return awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
		Service: text("arc-region-switch"), Region: text(""), Resource: text("plan"), ResourceName: text(RecoveryPlanName(s) + ":*"),
	})
}

// ImpairedAlarmName is the alarm, in one Region, that says that the other one is impaired. It cannot be in the Region that it is
// about: an alarm in a lost Region tells nobody.
func ImpairedAlarmName(s *settings.Settings, impaired settings.Region) string {
	return AlarmName(s, alarmImpaired(impaired))
}

// RecoveryPlanProps is what the plan moves.
type RecoveryPlanProps struct {
	Settings *settings.Settings
	Zone     awsroute53.IHostedZone
	// Approver may approve an execution. Nil when the recovery is automatic.
	Approver awsiam.IRole
	// Reports is where each execution's report goes.
	Reports awss3.IBucket
	// Mappings are the ids of the Regions' ledger mappings, by Region.
	Mappings map[string]*string
}

// RecoveryPlan moves the ledger from one Region to the other: an ARC Region switch plan. It is defined here once and kept by the
// service in both Regions; an execution runs in the Region that is activated and asks nothing of the other, nor of us-east-1
// ("Region switch in ARC", Application Recovery Controller Developer Guide).
type RecoveryPlan struct {
	Plan awsarcregionswitch.CfnPlan
	Role awsiam.Role
}

// NewRecoveryPlan makes the plan and the role it runs with.
//
// There is one workflow for both directions: under activePassive, activating a Region is leaving the other ("Region switch
// components", same guide). Graceful is the planned mode: Aurora switches over and loses nothing. Ungraceful is for a lost
// Region: Aurora fails over, and the one step that needs the lost Region is skipped.
//
// The order is such that nothing waits for the Region that is left. Its ledger is stopped last: with its cluster demoted it
// can write nothing any more, so that all it would do is try. The last three steps need only what came before them, and run
// beside one another: a reconciliation that takes long does not hold payments up.
//
// The documentation does not say in which mode a trigger starts the plan. So the plan of an automatic recovery fails the
// database over in either mode: a switchover would wait for the lost Region. The price is that a planned move with that plan
// may lose what was not replicated, which the reconciliation then records again from the table.
func NewRecoveryPlan(scope constructs.Construct, id string, props RecoveryPlanProps) *RecoveryPlan {
	scope = constructs.NewConstruct(scope, text(id))
	s, stack := props.Settings, awscdk.Stack_Of(scope)
	plan := &RecoveryPlan{Role: awsiam.NewRole(scope, text("Role"), &awsiam.RoleProps{
		// Regions of the platform share the role: IAM is global, and what it answers with is in every Region.
		RoleName:    text("payment-" + s.Environment + "-recovery"),
		Description: text("Recovery plan " + RecoveryPlanName(s)),
		AssumedBy:   awsiam.NewServicePrincipal(text("arc-region-switch.amazonaws.com"), nil),
	})}

	arn := func(service, region, resource, name string) *string {
		return stack.FormatArn(&awscdk.ArnComponents{
			Service: text(service), Region: text(region), Resource: text(resource), ResourceName: text(name), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
		})
	}
	var clusters, mappings, reconciliations, ledgers []*string
	mappingOf := map[string]any{} // the mapping to switch on, by the Region that is activated
	otherMapping := map[string]any{}
	var recordSets, lambdas []any
	for _, region := range s.Both() {
		mapping := arn("lambda", region.Name, "event-source-mapping", *props.Mappings[region.Name])
		reconciliation := arn("lambda", region.Name, "function", FunctionName(s, "reconcile"))
		clusters = append(clusters, arn("rds", region.Name, "cluster", ClusterIdentifier(s, region)))
		mappings = append(mappings, mapping)
		reconciliations = append(reconciliations, reconciliation)
		ledgers = append(ledgers, arn("lambda", region.Name, "function", FunctionName(s, "ledger")))
		mappingOf[region.Name] = &awsarcregionswitch.CfnPlan_EventSourceMappingProperty{Arn: mapping}
		otherMapping[s.Other(region).Name] = &awsarcregionswitch.CfnPlan_EventSourceMappingProperty{Arn: mapping}
		lambdas = append(lambdas, &awsarcregionswitch.CfnPlan_LambdasProperty{Arn: reconciliation})
		recordSets = append(recordSets, &awsarcregionswitch.CfnPlan_Route53ResourceRecordSetProperty{
			RecordSetIdentifier: text(region.Name), Region: text(region.Name),
		})
	}

	minutes := s.Recovery.StepMinutes
	behavior := "switchoverOnly"
	if s.Recovery.Automatic {
		behavior = "failover"
	}
	type block = awsarcregionswitch.CfnPlan_ExecutionBlockConfigurationProperty
	step := func(name, kind, description string, configuration *block) any {
		return &awsarcregionswitch.CfnPlan_StepProperty{
			Name: text(name), ExecutionBlockType: text(kind), Description: text(description), ExecutionBlockConfiguration: configuration,
		}
	}
	var steps []any
	if !s.Recovery.Automatic {
		steps = append(steps, step(StepApprove, "ManualApproval", "A second person agrees", &block{
			ExecutionApprovalConfig: &awsarcregionswitch.CfnPlan_ExecutionApprovalConfigurationProperty{
				ApprovalRole: props.Approver.RoleArn(), TimeoutMinutes: jsii.Number(minutes.Approval),
			},
		}))
	}
	steps = append(steps,
		step(StepPromote, "AuroraGlobalDatabase", "The cluster of the Region that is activated becomes the writer", &block{
			GlobalAuroraConfig: &awsarcregionswitch.CfnPlan_GlobalAuroraConfigurationProperty{
				GlobalClusterIdentifier: text(GlobalClusterIdentifier(s)),
				DatabaseClusterArns:     &clusters,
				Behavior:                text(behavior),
				Ungraceful:              &awsarcregionswitch.CfnPlan_GlobalAuroraUngracefulProperty{Ungraceful: text("failover")},
				TimeoutMinutes:          jsii.Number(minutes.Promotion),
			},
		}),
		step(StepStartLedger, "LambdaEventSourceMapping", "The ledger of the Region that is activated works its queue off", &block{
			LambdaEventSourceMappingConfig: &awsarcregionswitch.CfnPlan_LambdaEventSourceMappingConfigurationProperty{
				Action: text("enable"), RegionEventSourceMappings: mappingOf, TimeoutMinutes: jsii.Number(minutes.Ledger),
			},
		}),
		step(StepFinish, "Parallel", "What needs nothing but the steps before", &block{
			ParallelConfig: &awsarcregionswitch.CfnPlan_ParallelExecutionBlockConfigurationProperty{Steps: []any{
				// Its documentation says that an ungraceful execution skips this step. A promotion starts the reconciliation by
				// itself too; see Reconciliation.
				step(StepReconcile, "CustomActionLambda", "Records what the table has and the ledger has not", &block{
					CustomActionLambdaConfig: &awsarcregionswitch.CfnPlan_CustomActionLambdaConfigurationProperty{
						Lambdas: &lambdas, RegionToRun: text("activatingRegion"),
						RetryIntervalMinutes: jsii.Number(reconcileRetryMinutes), TimeoutMinutes: jsii.Number(minutes.Reconciliation),
					},
				}),
				step(StepTraffic, "Route53HealthCheck", "Payments go to the Region that is activated, and come back by the plan alone", &block{
					Route53HealthCheckConfig: &awsarcregionswitch.CfnPlan_Route53HealthCheckConfigurationProperty{
						HostedZoneId: props.Zone.HostedZoneId(), RecordName: text(s.PlanAPIName()), RecordSets: &recordSets,
						TimeoutMinutes: jsii.Number(minutes.Traffic),
					},
				}),
				step(StepStopLedger, "LambdaEventSourceMapping", "The ledger of the Region that is left leaves its queue alone", &block{
					LambdaEventSourceMappingConfig: &awsarcregionswitch.CfnPlan_LambdaEventSourceMappingConfigurationProperty{
						Action: text("disable"), RegionEventSourceMappings: otherMapping, TimeoutMinutes: jsii.Number(minutes.Ledger),
						Ungraceful: &awsarcregionswitch.CfnPlan_LambdaEventSourceMappingUngracefulProperty{Behavior: text("skip")},
					},
				}),
			}},
		}),
	)

	alarms := map[string]any{}
	alarm := func(key, kind string, in settings.Region, name string) {
		alarms[key] = &awsarcregionswitch.CfnPlan_AssociatedAlarmProperty{
			AlarmType: text(kind), ResourceIdentifier: arn("cloudwatch", in.Name, "alarm", name),
		}
	}
	var triggers []any
	for _, region := range s.Both() {
		// The recovery time that the service reports ends when these are well.
		alarm(region.Name+"-serves", "applicationHealth", region, ServerErrorAlarmName(s))
		if s.Recovery.Automatic {
			other := s.Other(region)
			alarm(other.Name+"-impaired", "trigger", region, ImpairedAlarmName(s, other))
			triggers = append(triggers, &awsarcregionswitch.CfnPlan_TriggerProperty{
				Description: text(other.Name + " is impaired, as seen from " + region.Name),
				Action:      text("activate"), TargetRegion: text(region.Name),
				Conditions: []any{&awsarcregionswitch.CfnPlan_TriggerConditionProperty{
					AssociatedAlarmName: text(other.Name + "-impaired"), Condition: text("red"),
				}},
				MinDelayMinutesBetweenExecutions: jsii.Number(automaticPauseMinutes),
			})
		}
	}

	p := &awsarcregionswitch.CfnPlanProps{
		Name:                         text(RecoveryPlanName(s)),
		Description:                  text("Moves the ledger, and with it payments, to the Region that is activated"),
		ExecutionRole:                plan.Role.RoleArn(),
		RecoveryApproach:             text("activePassive"),
		PrimaryRegion:                text(s.Regions.Primary.Name),
		Regions:                      texts(s.Regions.Primary.Name, s.Regions.Secondary.Name),
		RecoveryTimeObjectiveMinutes: jsii.Number(s.Objectives.RTOMinutes),
		AssociatedAlarms:             alarms,
		Workflows: []any{&awsarcregionswitch.CfnPlan_WorkflowProperty{
			WorkflowTargetAction: text("activate"), WorkflowDescription: text("Activates either Region"), Steps: &steps,
		}},
		ReportConfiguration: &awsarcregionswitch.CfnPlan_ReportConfigurationProperty{ReportOutput: []any{
			&awsarcregionswitch.CfnPlan_ReportOutputConfigurationProperty{
				S3Configuration: &awsarcregionswitch.CfnPlan_S3ReportOutputConfigurationProperty{
					BucketPath: props.Reports.BucketName(), BucketOwner: stack.Account(),
				},
			},
		}},
	}
	if len(triggers) > 0 {
		p.Triggers = triggers
	}
	plan.Plan = awsarcregionswitch.NewCfnPlan(scope, text("Plan"), p)
	// cfn-lint's schema of the plan (1.51) is older than the block for event source mappings, and reports its absence in four
	// ways. The library's own schema knows the block, and checks it at synthesis.
	plan.Plan.AddMetadata(text("cfn-lint"), map[string]any{
		"config": map[string]any{"ignore_checks": []string{"E3002", "E3003", "E3018", "E3030"}},
	})

	plan.allow(props, planResources{
		plans: RecoveryPlanARNs(scope, s), clusters: clusters, globalCluster: arn("rds", "", "global-cluster", GlobalClusterIdentifier(s)),
		mappings: mappings, ledgers: ledgers, reconciliations: reconciliations,
	})
	return plan
}

type planResources struct {
	plans, globalCluster                         *string
	clusters, mappings, ledgers, reconciliations []*string
}

// allow gives the role what the plan's blocks need and no more. Each statement follows the service's sample policy for its
// block; the page is named with it, all of the Application Recovery Controller Developer Guide.
func (p *RecoveryPlan) allow(props RecoveryPlanProps, on planResources) {
	stack := awscdk.Stack_Of(p.Role)
	var statements []awsiam.PolicyStatement
	statement := func(id string, resources []*string, actions ...string) {
		statements = append(statements, awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid: text(id), Actions: texts(actions...), Resources: &resources,
		}))
	}
	// "Complete plan execution role permissions". The evaluation every half hour asks IAM what this role may do, and what the
	// approver's role may do; without an answer the plan stays in need of action.
	evaluated := []*string{stack.FormatArn(&awscdk.ArnComponents{
		Service: text("iam"), Region: text(""), Resource: text("role"), ResourceName: text("payment-" + props.Settings.Environment + "-recovery"),
	})}
	if props.Approver != nil {
		evaluated = append(evaluated, props.Approver.RoleArn())
	}
	statement("Evaluate", evaluated, "iam:SimulatePrincipalPolicy")
	own := []string{"arc-region-switch:GetPlan", "arc-region-switch:GetPlanExecution", "arc-region-switch:ListPlanExecutions",
		// "Automatic plan execution reports permissions"
		"arc-region-switch:ListPlanExecutionEvents"}
	if props.Settings.Recovery.Automatic {
		own = append(own, "arc-region-switch:StartPlanExecution") // "Plan evaluation for Region switch plans", on triggers
	}
	statement("OwnPlan", []*string{on.plans}, own...)
	// "Aurora Global Database execution block sample policy". The first two know no resources as long as nothing is named in the
	// request, which is how the sample has them.
	statement("FindDatabase", []*string{text("*")}, "rds:DescribeGlobalClusters", "rds:DescribeDBClusters")
	statement("PromoteDatabase", append([]*string{on.globalCluster}, on.clusters...), "rds:SwitchoverGlobalCluster", "rds:FailoverGlobalCluster")
	// "Lambda event source mapping execution block sample policy"
	statement("SwitchLedger", on.mappings, "lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping")
	statement("FindLedger", on.ledgers, "lambda:GetFunction")
	// "Custom action Lambda execution block sample policy"
	statement("Reconcile", on.reconciliations, "lambda:GetFunction", "lambda:InvokeFunction")
	// "Route 53 health check execution block sample policy". The health checks are the service's own; no permission turns them.
	statement("FindRecords", []*string{stack.FormatArn(&awscdk.ArnComponents{
		Service: text("route53"), Region: text(""), Account: text(""), Resource: text("hostedzone"), ResourceName: props.Zone.HostedZoneId(),
	})}, "route53:ListResourceRecordSets")
	// "Automatic plan execution reports permissions". On "*": with a narrower scope, CloudWatch returns no composite alarm
	// ("DescribeAlarms" and "DescribeAlarmHistory", Amazon CloudWatch API Reference), and an alarm that starts the plan is one.
	statement("ReadAlarms", []*string{text("*")}, "cloudwatch:DescribeAlarms", "cloudwatch:DescribeAlarmHistory")
	statement("WriteReports", []*string{props.Reports.ArnForObjects(text("*"))}, "s3:PutObject")
	policy := awsiam.NewPolicy(p.Role, text("Policy"), &awsiam.PolicyProps{Statements: &statements, Roles: &[]awsiam.IRole{p.Role}})
	suppress(policy,
		ownPolicy("The recovery plan"),
		wildcards("The plan finds clusters and the global cluster without naming one, as in the service's sample policy, and CloudWatch returns composite alarms only to who may describe all alarms. All four actions read.", anyResource),
		wildcards("The plan's own ARN ends in what AWS adds to its name; a role that the plan needs cannot wait for it.", onResource(*on.plans)),
		wildcards("Each execution writes a report of its own name into the bucket that is for nothing else.", `Resource::<RecoveryReports[0-9A-F]{8}\.Arn>/\*`),
	)
	// The plan is evaluated as soon as it is there.
	p.Plan.Node().AddDependency(policy)
}

// HealthCheckID is the plan's own health check for a Region: healthy while the plan has payments there.
//
// The service makes these health checks and CloudFormation returns them as the attribute PlanHealthChecks, a list that its
// reference does not describe. Deployed plans show one entry a Region of the form <zone id>:<record name>:<Region>:<health check
// id>, in no order that anybody promises. So this takes the entry by the Region that it names. Should the form change, there is
// nothing to take, and the deployment stops here rather than tie a record to the wrong Region's health check.
func (p *RecoveryPlan) HealthCheckID(region settings.Region) *string {
	all := awscdk.Fn_Join(text(","), p.Plan.AttrPlanHealthChecks())
	after := awscdk.Fn_Select(jsii.Number(1), awscdk.Fn_Split(text(":"+region.Name+":"), all, nil))
	return awscdk.Fn_Select(jsii.Number(0), awscdk.Fn_Split(text(","), after, nil))
}
