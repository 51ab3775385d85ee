package constructs_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/jsii-runtime-go"

	"payments-dr/internal/assembly"
	"payments-dr/stacks/stackstest"
)

func TestProcessorTouchesItsOwnRegionsReplicaAlone(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		var granted []string
		for _, statement := range v.Statements()[roleOf(v.Function(t, "processor"))] {
			for _, action := range stackstest.ActionsOf(statement) {
				if !strings.HasPrefix(action, "dynamodb:") {
					continue
				}
				granted = append(granted, action)
				// In the stack that makes the table by reference, in the other by name and Region.
				resource := stackstest.Text(statement["Resource"])
				if strings.Contains(resource, "GetAtt") {
					id, _ := v.One(t, "AWS::DynamoDB::GlobalTable")
					stackstest.Same(t, "resource", statement["Resource"], stackstest.GetAtt(id, "Arn"))
				} else {
					stackstest.Same(t, "resource", statement["Resource"], "arn:aws:dynamodb:"+v.Stack.Region+":"+v.Stack.Account+":table/payment-"+v.Assembly.Settings.Environment+"-sessions")
				}
			}
		}
		slices.Sort(granted)
		if want := []string{"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"}; !slices.Equal(granted, want) {
			t.Errorf("granted %v, want %v", granted, want)
		}
	})
}

func TestProcessor(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		function := v.Function(t, "processor")
		for name, want := range map[string]any{
			"Architectures": []string{"arm64"}, "Runtime": "provided.al2023", "Handler": "bootstrap", "MemorySize": 1024, "Timeout": 30,
			"TracingConfig": map[string]any{"Mode": "Active"},
			"Environment": map[string]any{"Variables": map[string]any{
				"METRICS_NAMESPACE": "Payment/" + v.Assembly.Settings.Environment, "TABLE_NAME": "payment-" + v.Assembly.Settings.Environment + "-sessions",
				"INTERRUPTION_SECONDS": strconv.Itoa(10 * v.Assembly.Settings.DNS.FailureThreshold), "STEADY_SECONDS": "300",
			}},
		} {
			stackstest.Same(t, name, function.Properties[name], want)
		}
		if subnets := stackstest.Text(assembly.At(function.Properties["VpcConfig"], "SubnetIds")); strings.Count(subnets, "privateSubnet") != 3 {
			t.Errorf("the processor's subnets are %s", subnets)
		}
		// The interfaces are for Lambda to make, not for the function's own code.
		denied := 0
		for _, statement := range v.Statements()[roleOf(function)] {
			if statement["Effect"] == "Deny" {
				denied++
				stackstest.Same(t, "condition", statement["Condition"], map[string]any{"ArnEquals": map[string]any{
					"lambda:SourceFunctionArn": "arn:aws:lambda:" + v.Stack.Region + ":" + v.Stack.Account + ":function:payment-" + v.Assembly.Settings.Environment + "-processor",
				}})
			}
		}
		if denied != 1 {
			t.Errorf("%d statements deny, want 1", denied)
		}
	})
}

// Processors that wait for the table leave the other functions room: none of those has a reservation, and Lambda keeps 100 executions
// for functions without one ("Configuring reserved concurrency for a function", AWS Lambda Developer Guide).
func TestProcessorsAloneAreLimited(t *testing.T) {
	limits := map[string]any{stackstest.Dev: nil, stackstest.Prod: 900.0, stackstest.Europe: 400.0}
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		want, ok := limits[v.Assembly.Settings.Environment]
		if !ok {
			t.Fatalf("no limit is known for %s", v.Assembly.Settings.Environment)
		}
		for id, function := range v.Of("AWS::Lambda::Function") {
			limit := want
			if function.Properties["FunctionName"] != "payment-"+v.Assembly.Settings.Environment+"-processor" {
				limit = nil
			}
			if got := function.Properties["ReservedConcurrentExecutions"]; got != limit {
				t.Errorf("%s reserves %v, want %v", id, got, limit)
			}
		}
		if suppressed := strings.Contains(stackstest.Text(v.Function(t, "processor").Metadata), "LambdaConcurrency"); suppressed != (want == nil) {
			t.Errorf("the processor reserves %v, and whether the rule that asks for it is suppressed is %v", want, suppressed)
		}
	})
}

func TestPaymentAPI(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		stackstest.Same(t, "routes", routes(t, v), map[string]string{
			"ANY /": "AWS_IAM", "ANY /payments": "AWS_IAM", "ANY /payments/{session_id}": "AWS_IAM",
			"ANY /payments/{session_id}/{transaction_id}": "AWS_IAM", "ANY /{proxy+}": "AWS_IAM",
			"ANY /health": "AWS_IAM", "GET /health": "NONE",
		})
		api := v.Assembly.Settings.API
		template := template(t, v)
		template.HasResourceProperties(jsii.String("AWS::ApiGateway::RestApi"), map[string]any{"EndpointConfiguration": map[string]any{"Types": []string{"REGIONAL"}}})
		template.HasResourceProperties(jsii.String("AWS::ApiGateway::Stage"), map[string]any{
			"StageName": "live", "TracingEnabled": true,
			"MethodSettings": []any{map[string]any{
				"HttpMethod": "*", "ResourcePath": "/*", "MetricsEnabled": true, "DataTraceEnabled": false, "LoggingLevel": "ERROR",
				"ThrottlingRateLimit": api.ThrottlingRateLimit, "ThrottlingBurstLimit": api.ThrottlingBurstLimit,
			}},
		})
		stageID, stage := v.One(t, "AWS::ApiGateway::Stage")
		if format := stackstest.Text(assembly.At(stage.Properties["AccessLogSetting"], "Format")); !strings.Contains(format, "$context.requestId") || strings.Contains(format, "$context.path") {
			t.Errorf("access log format %s", format)
		}
		// Without the account's role, API Gateway refuses a stage that logs.
		if _, account := v.One(t, "AWS::ApiGateway::Account"); account.Properties["CloudWatchRoleArn"] == nil {
			t.Error("the account has no role for logs")
		}
		apiID, _ := v.One(t, "AWS::ApiGateway::RestApi")
		template.HasResourceProperties(jsii.String("AWS::Logs::LogGroup"), map[string]any{
			"LogGroupName": map[string]any{"Fn::Join": []any{"", []any{"API-Gateway-Execution-Logs_", stackstest.Ref(apiID), "/live"}}},
		})
		_, association := v.One(t, "AWS::WAFv2::WebACLAssociation")
		if arn := stackstest.Text(association.Properties["ResourceArn"]); !strings.Contains(arn, stageID) {
			t.Errorf("the Web ACL stands before %s, want the stage %s", arn, stageID)
		}
		for _, permission := range v.Of("AWS::Lambda::Permission") {
			source := stackstest.Text(permission.Properties["SourceArn"])
			processor := strings.Contains(stackstest.Text(permission.Properties["FunctionName"]), "PaymentApiProcessor")
			if processor && (permission.Properties["Principal"] != "apigateway.amazonaws.com" || !strings.Contains(source, apiID)) {
				t.Errorf("%v may invoke the processor from %s", permission.Properties["Principal"], source)
			}
		}
	})
}

func TestAPIGatewaysOwnAnswersKeepTheContract(t *testing.T) {
	stackstest.Each(t, func(t *testing.T, v stackstest.View) {
		kinds := map[string]bool{}
		for id, response := range v.Of("AWS::ApiGateway::GatewayResponse") {
			p := response.Properties
			kinds[p["ResponseType"].(string)] = true
			headers := assembly.Object(p["ResponseParameters"])
			stackstest.Same(t, id+": region", headers["gatewayresponse.header.X-Region"], "'"+v.Stack.Region+"'")
			template := assembly.At(p["ResponseTemplates"], "application/json").(string)
			filled := strings.ReplaceAll(template, "$context.error.messageString", `"x"`)
			var body map[string]string
			if err := json.Unmarshal([]byte(filled), &body); err != nil || len(body) != 2 || body["error"] == "" || body["region"] != v.Stack.Region {
				t.Errorf("%s answers %s", id, template)
			}
			if p["StatusCode"] == "503" && headers["gatewayresponse.header.Retry-After"] == nil {
				t.Errorf("%s is a 503 without Retry-After", id)
			}
		}
		for _, kind := range []string{"DEFAULT_4XX", "DEFAULT_5XX", "ACCESS_DENIED", "THROTTLED", "INTEGRATION_TIMEOUT", "INTEGRATION_FAILURE"} {
			if !kinds[kind] {
				t.Errorf("there is no answer for %s", kind)
			}
		}
	})
}

// routes are the API's methods as "METHOD /path", with their authorization.
func routes(t *testing.T, v stackstest.View) map[string]string {
	t.Helper()
	resources := v.Of("AWS::ApiGateway::Resource")
	var path func(part any) string
	path = func(part any) string {
		id, ok := assembly.At(part, "Ref").(string)
		if !ok {
			return "" // the root: an attribute of the API
		}
		return path(resources[id].Properties["ParentId"]) + "/" + resources[id].Properties["PathPart"].(string)
	}
	routes := map[string]string{}
	for _, method := range v.Of("AWS::ApiGateway::Method") {
		at := path(method.Properties["ResourceId"])
		if at == "" {
			at = "/"
		}
		routes[method.Properties["HttpMethod"].(string)+" "+at] = method.Properties["AuthorizationType"].(string)
		if kind := assembly.At(method.Properties["Integration"], "Type"); kind != "AWS_PROXY" {
			t.Errorf("%s is integrated by %v", at, kind)
		}
	}
	return routes
}
