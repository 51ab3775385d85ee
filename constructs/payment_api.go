package constructs

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/payment/variables"
	"payments-dr/internal/settings"
)

// PaymentAPI is one Region's way in: a regional REST API before the processor.
//
// A REST API, because clients sign with SigV4a, whose one signature is good in both Regions, and HTTP APIs do not verify it
// ("Compare REST APIs and HTTP APIs", Amazon API Gateway Developer Guide). Not a function URL either: neither takes a custom
// domain of the same name in two Regions.
type PaymentAPI struct {
	API       awsapigateway.RestApi
	Processor awslambda.Function
}

// PaymentAPIProps is what the API needs of its Region.
type PaymentAPIProps struct {
	Settings *settings.Settings
	Region   settings.Region
	Network  *Network
	Key      awskms.IKey
	// Table is the session table's replica in this Region.
	Table awsdynamodb.ITableV2
}

const (
	// StageName is the API's only stage.
	StageName = "live"
	// HealthPath is what health checks ask for, below the stage. It is the one path that needs no signature.
	HealthPath = "/health"
	// processorTimeout is the function's own limit. API Gateway gives up a second earlier, at 29 s ("Quotas for REST APIs",
	// Amazon API Gateway Developer Guide); the handler's own deadlines are far below both.
	processorTimeout = 30 * time.Second
	// steadyFor is how long DNS prefers the other Region after an interruption of a Region's health. It outlasts what comes and goes;
	// meanwhile the other Region takes the payments, and this one takes them if the other cannot.
	steadyFor = 5 * time.Minute
)

// interruption is how long a Region's health checks may go without success before its health counts as interrupted: as long as
// they take to find it unhealthy.
func interruption(s *settings.Settings) time.Duration {
	return time.Duration(s.DNS.FailureThreshold) * healthCheckInterval
}

// NewPaymentAPI makes the payment API of one Region.
func NewPaymentAPI(scope constructs.Construct, id string, props PaymentAPIProps) *PaymentAPI {
	scope = constructs.NewConstruct(scope, text(id))
	s := props.Settings
	processor := NewFunction(scope, "Processor", FunctionProps{
		Settings:    s,
		Name:        "processor",
		Description: "Takes payments: validates, and accepts each with one conditional write",
		Timeout:     processorTimeout,
		Network:     props.Network,
		Concurrency: "The stage's throttling bounds the requests, and so the processors; an alarm tells when Lambda refuses one. This environment leaves api.processorConcurrency at 0.",
		// The one function whose invocations are as many as strangers' requests, and take as long as the table does. The others are
		// few by what invokes them, so that 100 executions without a reservation are enough for all of them.
		Reserved: s.API.ProcessorConcurrency,
		Failures: "The API invokes it and waits: a failure is the client's answer, 5xx, to be tried again with the same identity, and is counted by alarms. Nothing has been accepted that a queue would have to keep.",
		Key:      props.Key,
		Environment: map[string]string{
			variables.InterruptionSeconds: strconv.Itoa(int(interruption(s).Seconds())),
			variables.SteadySeconds:       strconv.Itoa(int(steadyFor.Seconds())),
		},
	})
	// What the handler calls, no more: it neither updates nor deletes, and does not know the index.
	processor.AddToRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: texts("dynamodb:PutItem", "dynamodb:GetItem", "dynamodb:Query"), Resources: &[]*string{props.Table.TableArn()},
	}))

	accessLogs := NewLogGroup(scope, "AccessLogs", "/payment/"+s.Environment+"/api/access", s, props.Key)
	api := awsapigateway.NewRestApi(scope, text("Api"), &awsapigateway.RestApiProps{
		RestApiName:   text(s.APIGatewayName()),
		Description:   text("Payment API, " + s.Environment + ", " + props.Region.Name),
		EndpointTypes: &[]awsapigateway.EndpointType{awsapigateway.EndpointType_REGIONAL},
		// Logs need a role that is one for the whole account and Region. It stays when the stack goes, because other APIs of
		// the account may write with it, and also when the creation of the stack fails: deleting the resource does not clear the
		// account's setting, which would then name a role that is gone. It has no fixed name.
		CloudWatchRole:              jsii.Bool(true),
		CloudWatchRoleRemovalPolicy: awscdk.RemovalPolicy_RETAIN,
		DefaultMethodOptions:        &awsapigateway.MethodOptions{AuthorizationType: awsapigateway.AuthorizationType_IAM},
		DeployOptions: &awsapigateway.StageOptions{
			StageName:            text(StageName),
			ThrottlingRateLimit:  jsii.Number(s.API.ThrottlingRateLimit),
			ThrottlingBurstLimit: jsii.Number(s.API.ThrottlingBurstLimit),
			MetricsEnabled:       jsii.Bool(true),
			TracingEnabled:       jsii.Bool(true),
			LoggingLevel:         awsapigateway.MethodLoggingLevel_ERROR,
			DataTraceEnabled:     jsii.Bool(false), // bodies are payments
			AccessLogDestination: awsapigateway.NewLogGroupLogDestination(accessLogs),
			AccessLogFormat:      awsapigateway.AccessLogFormat_Custom(text(accessLogFormat())),
		},
	})
	newAPIThrottleMetric(scope, s, accessLogs)
	// API Gateway makes the group of its execution logs by itself, unencrypted and for ever; made here, before the stage.
	executionLogs := NewLogGroup(scope, "ExecutionLogs", "API-Gateway-Execution-Logs_"+*api.RestApiId()+"/"+StageName, s, props.Key)
	api.DeploymentStage().Node().AddDependency(executionLogs)

	// Any method on every path: API Gateway would answer an unknown path or a wrong method with 403, the contract says 404 and
	// 405, and the processor knows the contract.
	integration := awsapigateway.NewLambdaIntegration(processor, &awsapigateway.LambdaIntegrationOptions{AllowTestInvoke: jsii.Bool(false)})
	anyMethod := text("ANY")
	root := api.Root()
	payments := root.AddResource(text("payments"), nil)
	session := payments.AddResource(text("{session_id}"), nil)
	health := root.AddResource(text(HealthPath[1:]), nil)
	for _, path := range []awsapigateway.IResource{
		root, payments, session, session.AddResource(text("{transaction_id}"), nil), health, root.AddResource(text("{proxy+}"), nil),
	} {
		suppress(path.AddMethod(anyMethod, integration, nil), suppression{rules: []string{awsSolutions + "COG4"},
			reason: "Clients are authorized by IAM, with a signature that is good in both Regions. A Cognito user pool is one Region's: with that Region, everybody's way to sign in would be lost."})
	}
	suppress(health.AddMethod(text("GET"), integration, &awsapigateway.MethodOptions{AuthorizationType: awsapigateway.AuthorizationType_NONE}),
		suppression{rules: []string{awsSolutions + "APIG4", awsSolutions + "COG4"},
			reason: "Route 53's health checkers sign nothing. The answer is whether the Region can take payments; it takes no input, and the stage's throttling and the Web ACL's limit of one address bound what a stranger can make it do."})

	suppress(api, suppression{rules: []string{awsSolutions + "APIG2"},
		reason: "Requests are validated by the processor: the contract tells 413, 415 and 422 from 400, refuses a field that is given twice, and reads amounts exactly, which no model of API Gateway does. Its validator would answer in the processor's place, and less well."})
	suppress(api.DeploymentStage(),
		suppression{rules: nistAndPCI("APIGWCacheEnabledAndEncrypted"),
			reason: "Answers must not be cached: one that is a minute old says that a payment is not there which is. What is not kept needs no encryption."},
		suppression{rules: nistAndPCI("APIGWSSLEnabled"),
			reason: "The certificate is for an HTTP backend that wants to know who calls. This API's only backend is a function, which API Gateway invokes over Lambda's own API with IAM, under a permission for this API alone."},
	)
	suppress(child(api, "CloudWatchRole"), suppression{rules: []string{awsSolutions + "IAM4"},
		reason: "One role of an account and Region writes the logs of all its REST APIs, and API Gateway's documentation names this policy for it. A narrower one would silence the logs of the account's other APIs."})
	addGatewayResponses(api, props.Region)
	NewWebACL(scope, "Firewall", s, props.Region, props.Key, api.DeploymentStage().StageArn())
	return &PaymentAPI{API: api, Processor: processor}
}

// MetricsNamespace is where the functions' own metrics go.
func MetricsNamespace(s *settings.Settings) string { return "Payment/" + s.Environment }

// accessLogFormat has no path and no query: ids of payments are the client's, and may be more than they should.
func accessLogFormat() string {
	format, err := json.Marshal(map[string]string{
		"requestId":          "$context.requestId",
		"extendedRequestId":  "$context.extendedRequestId",
		"requestTime":        "$context.requestTime",
		"sourceIp":           "$context.identity.sourceIp",
		"userArn":            "$context.identity.userArn",
		"httpMethod":         "$context.httpMethod",
		"resourcePath":       "$context.resourcePath",
		"status":             "$context.status",
		"responseType":       "$context.error.responseType",
		"responseLatency":    "$context.responseLatency",
		"integrationLatency": "$context.integration.latency",
		"integrationStatus":  "$context.integration.status",
		"responseLength":     "$context.responseLength",
		"wafStatus":          "$context.waf.status",
		"xrayTraceId":        "$context.xrayTraceId",
	})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(format)
}

// addGatewayResponses gives the answers that API Gateway makes by itself the form of the contract. What is not named here
// keeps its status and takes the form of the two defaults.
func addGatewayResponses(api awsapigateway.RestApi, region settings.Region) {
	responses := []struct {
		id, message, status, retryAfter string
		kind                            awsapigateway.ResponseType
	}{
		{id: "Default4xx", kind: awsapigateway.ResponseType_DEFAULT_4XX(), message: "$context.error.messageString"},
		{id: "Default5xx", kind: awsapigateway.ResponseType_DEFAULT_5XX(), message: `"internal error"`},
		// The service's own message names the caller's ARN and the API's.
		{id: "AccessDenied", kind: awsapigateway.ResponseType_ACCESS_DENIED(), message: `"not authorized"`},
		{id: "Throttled", kind: awsapigateway.ResponseType_THROTTLED(), message: `"too many requests"`, retryAfter: "1"},
		{id: "IntegrationFailure", kind: awsapigateway.ResponseType_INTEGRATION_FAILURE(), message: `"temporarily unavailable"`, status: "503", retryAfter: "1"},
		{id: "IntegrationTimeout", kind: awsapigateway.ResponseType_INTEGRATION_TIMEOUT(), message: `"temporarily unavailable"`, status: "503", retryAfter: "1"},
	}
	for _, r := range responses {
		headers := map[string]*string{"X-Region": text("'" + region.Name + "'")}
		if r.retryAfter != "" {
			headers["Retry-After"] = text("'" + r.retryAfter + "'")
		}
		options := &awsapigateway.GatewayResponseOptions{
			Type:            r.kind,
			ResponseHeaders: &headers,
			Templates:       &map[string]*string{"application/json": text(`{"error":` + r.message + `,"region":"` + region.Name + `"}`)},
		}
		if r.status != "" {
			options.StatusCode = text(r.status)
		}
		api.AddGatewayResponse(text(r.id), options)
	}
}
