package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"payments-dr/internal/simulation/awswire"
	"strings"

	"github.com/aws/smithy-go/encoding/cbor"
)

// What the simulated deployment has for dr accept: an account in which nothing is deployed until a stand-in for the CDK has made its
// stacks, as files in a folder. After they were destroyed, the vaults and the hosted zone are left, as the templates say.

// acceptedName is a public name that preflight takes.
const acceptedName = "api.dev.payments.acme-bank.com"

// prepareAcceptance makes the account, and in a folder the templates for it.
func (s *simulated) prepareAcceptance(dir string) error {
	s.public, s.plan.Record, s.stacks = acceptedName, "planned."+acceptedName, filepath.Join(dir, "deployed")
	golden := "../../testdata/golden/dev"
	paths, err := filepath.Glob(golden + "/*")
	if err != nil {
		return err
	}
	for _, folder := range []string{"deployed", "cdk.out", "node_modules/.bin"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return err
		}
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		changed := strings.NewReplacer("000000000000", simulatedAccount, "dev.payments.example.com", "dev.payments.acme-bank.com").Replace(string(text))
		if err := os.WriteFile(filepath.Join(dir, "cdk.out", filepath.Base(path)), []byte(changed), 0o644); err != nil {
			return err
		}
	}
	return os.Rename(filepath.Join(dir, "cdk"), filepath.Join(dir, "node_modules/.bin/cdk"))
}

func (s *simulated) there(name string) bool {
	_, err := os.Stat(filepath.Join(s.stacks, name))
	return err == nil
}

// accepts answers a request for what dr accept looks at and the other commands do not.
func (s *simulated) accepts(w http.ResponseWriter, r *http.Request, host, region string, body []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	service := strings.Split(host, ".")[0]
	form, _ := url.ParseQuery(string(body))
	_, target, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	operation := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	s.calls[strings.Join([]string{service, region, form.Get("Action") + target}, " ")]++
	left := s.there("left") // the stacks were destroyed
	s.gone = !s.there("payment-dev-global")
	answer := func(text string) bool {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		fmt.Fprint(w, text)
		return true
	}
	xml := func(format string, args ...any) bool {
		w.Header().Set("Content-Type", "text/xml")
		action := form.Get("Action")
		fmt.Fprintf(w, "<%[1]sResponse><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>", action, fmt.Sprintf(format, args...))
		return true
	}
	absent := func(code, message string) bool {
		if form.Get("Action") == "" {
			awswire.WriteError(w, "lambda", http.StatusNotFound, code, message) // the header serves all who do not answer in XML
			return true
		}
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>", code, message)
		return true
	}
	switch service {
	case "cloudformation":
		name := form.Get("StackName")
		switch {
		case form.Get("Action") == "ListStackResources":
			return xml("<StackResourceSummaries/>")
		case s.there(name):
			return xml("<Stacks><member><StackName>%s</StackName><StackStatus>CREATE_COMPLETE</StackStatus><CreationTime>2026-11-27T00:00:00Z</CreationTime></member></Stacks>", name)
		}
		return absent("ValidationError", "Stack with id "+name+" does not exist")
	case "iam":
		if form.Get("RoleName") == "AWSServiceRoleForRDS" {
			return xml("<Role><RoleName>AWSServiceRoleForRDS</RoleName></Role>")
		}
		return absent("NoSuchEntity", "no")
	case "sns":
		return absent("NotFound", "no")
	case "rds":
		switch action := form.Get("Action"); action {
		case "DescribeDBClusterSnapshots":
			if left {
				return xml("<DBClusterSnapshots><DBClusterSnapshot><DBClusterSnapshotIdentifier>final</DBClusterSnapshotIdentifier></DBClusterSnapshot></DBClusterSnapshots>")
			}
			return xml("<DBClusterSnapshots/>")
		case "DescribeGlobalClusters":
			return s.gone && absent("GlobalClusterNotFoundFault", "no")
		default:
			return absent("DBNotFoundFault", "no")
		}
	case "ssm":
		var in struct{ Name string }
		_ = json.Unmarshal(body, &in)
		switch {
		case strings.HasSuffix(in.Name, "/recovery/plan-arn") && !s.gone:
			return false
		case in.Name == "" || strings.HasPrefix(in.Name, "/cdk-bootstrap/"):
			return answer(`{"Parameter":{"Value":"27"}}`)
		}
		return absent("ParameterNotFound", "no")
	case "lambda":
		if strings.Contains(r.URL.Path, "account-settings") {
			return answer(`{"AccountLimit":{"ConcurrentExecutions":1000,"UnreservedConcurrentExecutions":1000}}`)
		}
		return absent("ResourceNotFoundException", "no")
	case "servicequotas":
		return answer(`{"Quota":{"Value":5}}`)
	case "backup":
		switch strings.TrimSuffix(r.URL.Path, "/") {
		case "/account-settings":
			return answer(`{"ResourceTypeOptInPreference":{"Aurora":true,"DynamoDB":true},"ResourceTypeManagementPreference":{"DynamoDB":true}}`)
		case "/backup-vaults":
			if left {
				return answer(`{"BackupVaultList":[{"BackupVaultName":"payment-dev"}]}`)
			}
			return answer(`{"BackupVaultList":[]}`)
		case "/restore-testing/plans":
			return answer(`{"RestoreTestingPlans":[]}`)
		}
		return false
	case "apigateway":
		if r.URL.Path == "/account" {
			return answer("{}")
		}
		return absent("NotFoundException", "no")
	case "arc-region-switch", "arc-region-switch-control-plane":
		if operation == "ListPlans" {
			awswire.WriteCBOR(w, http.StatusOK, cbor.Map{"plans": cbor.List{}})
			return true
		}
		return false
	case "monitoring":
		asked, _ := cbor.Decode(body)
		fields, _ := asked.(cbor.Map)
		if _, names := fields["AlarmNames"]; names || operation == "ListDashboards" {
			awswire.WriteCBOR(w, http.StatusOK, cbor.Map{"DashboardEntries": cbor.List{}, "MetricAlarms": cbor.List{}, "CompositeAlarms": cbor.List{}})
			return true
		}
		return false
	case "sqs":
		return absent("QueueDoesNotExist", "no")
	case "dynamodb", "events", "secretsmanager":
		return absent("ResourceNotFoundException", "no")
	case "kms", "logs", "wafv2", "cloudcontrolapi":
		return answer("{}") // an empty list
	case "route53":
		w.Header().Set("Content-Type", "text/xml")
		switch {
		case !strings.HasSuffix(r.URL.Path, "/hostedzonesbyname"):
			fmt.Fprint(w, `<GetHostedZoneResponse><HostedZone><Id>/hostedzone/Z1</Id><Name>dev.payments.acme-bank.com.</Name><CallerReference>1</CallerReference></HostedZone><DelegationSet><NameServers><NameServer>ns-1.example.net</NameServer></NameServers></DelegationSet></GetHostedZoneResponse>`)
		case left:
			fmt.Fprint(w, `<ListHostedZonesByNameResponse><HostedZones><HostedZone><Id>/hostedzone/Z1</Id><Name>dev.payments.acme-bank.com.</Name><CallerReference>1</CallerReference></HostedZone></HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesByNameResponse>`)
		default:
			fmt.Fprint(w, `<ListHostedZonesByNameResponse><HostedZones/><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesByNameResponse>`)
		}
		return true
	}
	return false
}
