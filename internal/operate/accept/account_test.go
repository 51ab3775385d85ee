package accept_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/bojanz/currency"

	"payments-dr/internal/assembly"
	"payments-dr/internal/operate"
	"payments-dr/internal/operate/accept"
	"payments-dr/internal/payment"
	"payments-dr/internal/simulation"
)

// answering answers the SDK's calls in place of AWS: the writer, and what takes off protection.
type answering struct {
	mu     sync.Mutex
	writer string
	calls  []string
	faults map[string]error // by operation
}

func (a *answering) result(in any, region string) (any, error) {
	off := func(name *string, protection *bool) string {
		return fmt.Sprintf("%s %t", aws.ToString(name), *protection)
	}
	var called string
	var out any
	switch in := in.(type) {
	case *rds.DescribeGlobalClustersInput:
		if a.writer == "" {
			return nil, &rdstypes.GlobalClusterNotFoundFault{}
		}
		cluster := rdstypes.GlobalCluster{}
		for _, at := range []string{"us-east-1", "us-west-2"} {
			cluster.GlobalClusterMembers = append(cluster.GlobalClusterMembers, rdstypes.GlobalClusterMember{
				DBClusterArn: aws.String("arn:aws:rds:" + at + ":111122223333:cluster:payment-prod-" + at), IsWriter: aws.Bool(at == a.writer)})
		}
		return &rds.DescribeGlobalClustersOutput{GlobalClusters: []rdstypes.GlobalCluster{cluster}}, nil
	case *cloudformation.UpdateTerminationProtectionInput:
		called, out = off(in.StackName, in.EnableTerminationProtection), &cloudformation.UpdateTerminationProtectionOutput{}
	case *rds.ModifyDBClusterInput:
		called, out = off(in.DBClusterIdentifier, in.DeletionProtection), &rds.ModifyDBClusterOutput{}
	case *rds.ModifyGlobalClusterInput:
		called, out = off(in.GlobalClusterIdentifier, in.DeletionProtection), &rds.ModifyGlobalClusterOutput{}
	case *dynamodb.UpdateTableInput:
		called, out = off(in.TableName, in.DeletionProtectionEnabled), &dynamodb.UpdateTableOutput{}
	default:
		return nil, &smithy.GenericAPIError{Code: "AccessDenied", Message: fmt.Sprintf("%T", in)}
	}
	a.calls = append(a.calls, region+" "+called)
	return out, nil
}

func (a *answering) config() aws.Config {
	return aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("simulated", "simulated", ""), APIOptions: []func(*middleware.Stack) error{
		func(s *middleware.Stack) error {
			return s.Initialize.Add(middleware.InitializeMiddlewareFunc("Answer", func(ctx context.Context, in middleware.InitializeInput, _ middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				a.mu.Lock()
				defer a.mu.Unlock()
				if err := a.faults[awsmiddleware.GetOperationName(ctx)]; err != nil {
					return middleware.InitializeOutput{}, middleware.Metadata{}, err
				}
				out, err := a.result(in.Parameters, awsmiddleware.GetRegion(ctx))
				return middleware.InitializeOutput{Result: out}, middleware.Metadata{}, err
			}), middleware.After)
		},
	}}
}

func TestDestroyTakesOffProtection(t *testing.T) {
	all := []string{"us-east-1 payment-prod false", "us-east-1 payment-prod-global false", "us-east-1 payment-prod-primary false", "us-east-1 payment-prod-sessions false",
		"us-east-1 payment-prod-us-east-1 false", "us-west-2 payment-prod false", "us-west-2 payment-prod-secondary false", "us-west-2 payment-prod-sessions false", "us-west-2 payment-prod-us-west-2 false"}
	denied := &smithy.GenericAPIError{Code: "AccessDenied", Message: "no"}
	for _, tt := range []struct {
		name, env, writer string
		faults            map[string]error
		calls             []string
		err               string
	}{
		{"production", "prod", "us-east-1", nil, all, ""},
		{"no production", "dev", "us-east-1", nil, nil, ""},
		{"again, with nothing there", "prod", "", map[string]error{"ModifyDBCluster": &rdstypes.DBClusterNotFoundFault{}, "ModifyGlobalCluster": &rdstypes.GlobalClusterNotFoundFault{},
			"UpdateTable": &smithy.GenericAPIError{Code: "ResourceNotFoundException"}, "UpdateTerminationProtection": &smithy.GenericAPIError{Code: "ValidationError", Message: "Stack [x] does not exist"}}, nil, ""},
		{"no permission", "prod", "us-east-1", map[string]error{"UpdateTable": denied}, nil, "take off protection: "},
		{"no permission for a stack", "prod", "us-east-1", map[string]error{"UpdateTerminationProtection": denied}, nil, "take off protection: "},
		{"the secondary is the writer", "prod", "us-west-2", nil, nil, "move to us-east-1, which has to be the writer: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			aws := &answering{writer: tt.writer, faults: tt.faults}
			a, err := assembly.Load("../../../testdata/golden/" + tt.env)
			if err != nil {
				t.Fatal(err)
			}
			deployment, err := operate.Open(&a.Settings, aws.config(), false)
			if err != nil {
				t.Fatal(err)
			}
			var ran string
			err = (&accept.Account{Assembly: a, Config: aws.config(), Follower: operate.Follower{Deployment: deployment}, CDK: func(_ context.Context, args ...string) error {
				ran = strings.Join(args, " ")
				return nil
			}}).Destroy(t.Context())
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.err) || ran != "" {
					t.Errorf("error %v, ran %q", err, ran)
				}
				return
			}
			if want := "destroy --all --force --app ../../../testdata/golden/" + tt.env; err != nil || ran != want {
				t.Errorf("%v, ran %q, want %q", err, ran, want)
			}
			if slices.Sort(aws.calls); !slices.Equal(aws.calls, tt.calls) {
				t.Errorf("called %q, want %q", aws.calls, tt.calls)
			}
		})
	}
}

// The test asks until it is answered. A deployment that fails gets one request for each of its questions, once it has failed for a while.
func TestRetriesAreLimitedOverAllQuestions(t *testing.T) {
	t.Parallel() // real pauses between attempts
	a, err := assembly.Load("../../../testdata/golden/dev")
	if err != nil {
		t.Fatal(err)
	}
	var requests, connections, status atomic.Int64
	status.Store(http.StatusInternalServerError)
	api, err := simulation.StartTLS(a.Settings.APIName(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		http.Error(w, `{"error":"internal error","region":"us-east-1"}`, int(status.Load()))
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	account := &accept.Account{Assembly: a, Config: (&answering{}).config(), Way: operate.Way{
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			connections.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, api.Address())
		},
		Trust: simulation.Trust(api),
	}}
	amount, err := currency.NewAmount("1.00", payment.TestCurrency)
	if err != nil {
		t.Fatal(err)
	}
	request := payment.Request{Identity: payment.Identity{SessionID: "s", TransactionID: "t"}, Amount: amount}
	for i, want := range []int{5, 5, 3, 1} {
		if accepted, err := account.Pay(t.Context(), "", request); err == nil || accepted.Attempts != want {
			t.Errorf("question %d: %d attempts, %v; want %d", i, accepted.Attempts, err, want)
		}
	}
	if _, err := account.Read(t.Context(), request.Identity); err == nil || requests.Load() != 15 {
		t.Errorf("%d requests, %v; want 15", requests.Load(), err)
	}
	if accepted, err := account.Pay(t.Context(), "us-west-2", request); err == nil || accepted.Attempts != 5 {
		t.Errorf("another Region's API: %d attempts, %v; want 5", accepted.Attempts, err)
	}
	status.Store(http.StatusNotFound) // an answer, and no reason for the client to leave its connection
	for range 2 {
		if _, err := account.Read(t.Context(), request.Identity); err == nil {
			t.Error("read a payment that is not there")
		}
	}
	if connections.Load() != requests.Load() { // each attempt after a failure looks the name up, and each question
		t.Errorf("%d connections for %d requests", connections.Load(), requests.Load())
	}
}
