package constructs

import (
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	lambdago "github.com/aws/aws-cdk-go/awscdklambdagoalpha/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/assembly/functionbuild"
	"payments-dr/internal/payment/ledger"
	"payments-dr/internal/payment/variables"
	"payments-dr/internal/settings"
)

// FunctionMemory is what every function has, in MB. Processing power comes with it.
const FunctionMemory = 1024

// FunctionProps is what makes one function different from another.
type FunctionProps struct {
	Settings *settings.Settings
	// Name is the function's folder below functions/.
	Name        string
	Description string
	Timeout     time.Duration
	// Environment has the variables that package variables lists for the function and that differ from one function or Region
	// to another. It may have more: the function gets those that it reads.
	Environment map[string]string
	// Network puts the function into the private subnets; nil leaves it outside, and then Outside says why.
	Network *Network
	Outside string
	Key     awskms.IKey
	// Schema is the migration of the ledger's schema. Every function that uses the ledger waits for it, so that new code meets
	// the new schema; nil is a function that does not use the ledger.
	Schema constructs.IDependable
	// Concurrency says what bounds how many invocations run at once, and Failures where those that fail are kept or told. Both are
	// to be found at what invokes the function, and not at the function itself, where the rule packs look for them.
	Concurrency, Failures string
	// Reserved is the function's reserved concurrency: it runs no more invocations at once, and the account's other functions cannot
	// take these from it. 0 reserves nothing, and the function shares what others have not reserved.
	Reserved int
}

// FunctionName is a function's physical name, the same in both Regions.
func FunctionName(s *settings.Settings, name string) string {
	return "payment-" + s.Environment + "-" + name
}

// NewFunction makes one function: arm64, provided.al2023, a role, a log group and alarms of its own.
//
// The role is written out rather than taken from AWS's managed policies, which allow every log group of the account. The
// library adds the two X-Ray actions, which know no resources ("Actions, resources, and condition keys for AWS X-Ray",
// Service Authorization Reference).
func NewFunction(scope constructs.Construct, id string, props FunctionProps) awslambda.Function {
	if props.Concurrency == "" || props.Failures == "" || (props.Network == nil) != (props.Outside != "") {
		panic(fmt.Sprintf("function %s does not say what bounds its concurrency, where its failures are kept, or why it is outside the network", props.Name))
	}
	scope = constructs.NewConstruct(scope, text(id))
	s, name := props.Settings, FunctionName(props.Settings, props.Name)
	logs := NewLogGroup(scope, "Logs", "/aws/lambda/"+name, s, props.Key)

	statements := []awsiam.PolicyStatement{
		awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions:   texts("logs:CreateLogStream", "logs:PutLogEvents"),
			Resources: &[]*string{logs.LogGroupArn()},
		}),
	}
	if props.Network != nil {
		// Lambda itself makes the network interfaces, with the function's role, and checks for exactly this at creation. The
		// second statement takes the permission away from the function's own code ("Giving Lambda functions access to
		// resources in an Amazon VPC", AWS Lambda Developer Guide).
		interfaces := texts("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
			"ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses")
		own := awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
			Service: text("lambda"), Resource: text("function"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME, ResourceName: text(name),
		})
		statements = append(statements,
			awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: interfaces, Resources: texts("*")}),
			awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Effect: awsiam.Effect_DENY, Actions: interfaces, Resources: texts("*"),
				Conditions: &map[string]any{"ArnEquals": map[string]any{"lambda:SourceFunctionArn": own}},
			}))
	}
	role := awsiam.NewRole(scope, text("Role"), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(text("lambda.amazonaws.com"), nil),
		Description: text("Function " + name),
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			"Runtime": awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements}),
		},
	})

	environment := functionEnvironment(s, props.Name, props.Environment)
	function := &lambdago.GoFunctionProps{
		FunctionName: text(name),
		Description:  text(props.Description),
		Entry:        text("functions/" + props.Name),
		Runtime:      awslambda.Runtime_PROVIDED_AL2023(),
		Architecture: awslambda.Architecture_ARM_64(),
		MemorySize:   jsii.Number(FunctionMemory),
		Timeout:      awscdk.Duration_Seconds(jsii.Number(props.Timeout.Seconds())),
		Environment:  &environment,
		Role:         role,
		LogGroup:     logs,
		// Lambda's own lines as JSON; the function's are JSON already.
		LoggingFormat: awslambda.LoggingFormat_JSON,
		Tracing:       awslambda.Tracing_ACTIVE,
		Bundling: &lambdago.BundlingOptions{
			GoBuildFlags: jsii.Strings(quoted(functionbuild.BuildFlags)...),
			Environment:  &map[string]*string{"CGO_ENABLED": text("0")},
			// By what goes in and not by what comes out, so that what has been built is not built again to find that out.
			AssetHashType: awscdk.AssetHashType_CUSTOM,
			AssetHash:     text(sourceDigest(props.Name)),
		},
	}
	if props.Reserved > 0 {
		function.ReservedConcurrentExecutions = jsii.Number(props.Reserved)
	}
	if props.Network != nil {
		function.Vpc = props.Network.VPC
		function.VpcSubnets = props.Network.FunctionSubnets
		function.SecurityGroups = &[]awsec2.ISecurityGroup{props.Network.Functions}
	}
	awscdk.Validations_Of(scope).Acknowledge(&awscdk.Acknowledgment{
		Id:     text("Annotation::@aws-cdk/aws-lambda-go-alpha:goBuildFlagsSecurityWarning"),
		Reason: text("the flags are functionbuild.BuildFlags, constants"),
	})
	newFunctionAlarms(scope, s, props.Name, props.Timeout)
	made := lambdago.NewGoFunction(scope, text("Function"), function)
	if props.Schema != nil {
		made.Node().DefaultChild().Node().AddDependency(props.Schema)
	}
	suppressFunctionFindings(made, role, props)
	return made
}

// functionEnvironment is the value of each variable that a function reads. The environment adds to those that are the same wherever
// a function has them.
func functionEnvironment(s *settings.Settings, name string, environment map[string]string) map[string]*string {
	values := map[string]string{
		variables.MetricsNamespace: MetricsNamespace(s),
		variables.TableName:        SessionTableName(s),
		variables.TableConsistency: string(s.Session.Consistency),
		variables.DatabasePort:     strconv.Itoa(DatabasePort),
		variables.DatabaseName:     DatabaseName,
		variables.DatabaseUser:     ledger.UserName,
	}
	maps.Copy(values, environment)
	all := map[string]*string{}
	for _, variable := range variables.Of(name) {
		value, ok := values[variable]
		if !ok {
			panic(fmt.Sprintf("the function %s reads %s, and its construct does not set it", name, variable))
		}
		all[variable] = text(value)
	}
	return all
}

// suppressFunctionFindings is for what every function has. How much can be reserved is from "Configuring reserved concurrency for a
// function", AWS Lambda Developer Guide.
func suppressFunctionFindings(function awslambda.Function, role awsiam.Role, props FunctionProps) {
	var findings []suppression
	if props.Reserved == 0 {
		findings = append(findings, suppression{rules: []string{nist + "LambdaConcurrency"}, reason: props.Concurrency +
			" A reservation would come on top of that, out of the account's pool, of which Lambda keeps 100 executions for functions without one: a new account, whose quota is lower, would refuse it."})
	}
	findings = append(findings, suppression{rules: []string{nist + "LambdaDLQ"}, reason: props.Failures})
	if props.Network == nil {
		findings = append(findings, suppression{rules: nistAndPCI("LambdaInsideVPC"), reason: props.Outside})
	}
	suppress(function, findings...)
	inline := ownPolicy("The function " + props.Name)
	onRole := []suppression{inline}
	if props.Network != nil {
		onRole = append(onRole, wildcards("Lambda checks for exactly these actions on network interfaces, on all resources, before it takes a function into a network: "+
			"the interfaces do not exist yet. A second statement denies the same to the code of "+props.Name+".", anyResource))
	}
	suppress(role, onRole...)
	suppress(child(role, "DefaultPolicy"), inline,
		wildcards("The function "+props.Name+" sends traces. X-Ray's two actions for that know no resources; what else a policy of this app may have on all resources is held to by a rule of its own.", anyResource))
}

// sourceDigests are taken once: all functions of both Regions come from the same source.
var sourceDigests = sync.OnceValues(func() (map[string]string, error) { return functionbuild.Digests(".") })

// PrepareFunctions looks at the functions' source. Calling it early, beside other work, saves the wait for it later.
func PrepareFunctions() error {
	_, err := sourceDigests()
	return err
}

func sourceDigest(name string) string {
	digests, err := sourceDigests()
	if err != nil {
		panic(err) // PrepareFunctions told it before
	}
	return digests[name]
}

// quoted is the flags as a shell reads them: the bundling hands them to one.
func quoted(flags []string) []string {
	var all []string
	for _, flag := range flags {
		all = append(all, "'"+flag+"'")
	}
	return all
}
