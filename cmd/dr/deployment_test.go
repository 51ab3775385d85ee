package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/encoding/cbor"

	"payments-dr/internal/simulation"
)

// The simulated deployment answers as AWS does on the wire: RDS and STS with XML, Systems Manager with JSON 1.1, AWS Backup with
// REST and JSON, CloudWatch and Region switch with CBOR, the payment API with its contract. It stands behind an HTTP proxy, so that the tool asks by the services' real
// names, over TLS, and a Region can be lost by its names: then nothing of it answers.

const (
	simulatedAccount = "111122223333"
	simulatedPlan    = "arn:aws:arc-region-switch::" + simulatedAccount + ":plan/payment-dev:a1b2c3"
	publicName       = "api.dev.payments.example.com"
)

var (
	simulatedRegions     = []string{"us-east-1", "us-west-2"}
	simulatedCredentials = aws.Credentials{AccessKeyID: "AKIDSIMULATED", SecretAccessKey: "simulated-secret"}
)

type systemClock struct{ simulation.Clock }

func (systemClock) Now() time.Time { return time.Now() }

// simulated is one deployment. Its fields are what a script changes.
type simulated struct {
	t        testing.TB
	address  string
	ca       []byte
	mu       sync.Mutex
	lost     map[string]string // Region: silent or refused
	faults   map[string]string // "service Region": denied, throttled, malformed, error, silent
	writer   string
	split    bool // the other Region believes that it is the writer
	moving   string
	lag      map[string]string // milliseconds, or none
	sick     map[string]bool
	traffic  string
	alarms   map[string][]string
	account  string
	gone     bool // nothing is deployed
	roles    bool // only the operators' roles may ask
	warning  string
	found    map[string]float64 // the last reconciliation's
	none     bool               // no reconciliation is told
	silently bool               // nor after a move
	kept     map[string]string  // "Region cluster", table, copied-cluster or copied-table: how old, or none
	tried    map[string]string  // "Region cluster" or table: how old and what verdict, or none
	run      []*run
	goes     string         // what becomes of an execution: ends, pauses, declined, waits, skips, vanishes, throttles, lost
	calls    map[string]int // "service Region operation"
	repairs  *repairs
	paid     map[string][]paid
	public   string // the platform's public name
	stacks   string // if given, the folder of what is deployed: see acceptance_test.go
}

// run is one execution. It goes on by one step whenever it is looked at.
type run struct {
	id, region, mode, comment, state string
	started                          time.Time
	looks                            int
	steps                            map[string]string
	times                            map[string][2]time.Time
}

type targetKey struct{}

// tunnel is a connection that the proxy has handed over, with whom it is to.
type tunnel struct {
	net.Conn
	target string
}

// queue is a listener of connections that are made elsewhere.
type queue struct {
	made chan net.Conn
	over chan struct{}
}

func (q queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.made:
		return c, nil
	case <-q.over:
		return nil, net.ErrClosed
	}
}
func (q queue) Close() error   { return nil }
func (q queue) Addr() net.Addr { return &net.TCPAddr{} }

func newSimulated(t testing.TB) (*simulated, func(), error) {
	s := &simulated{
		t: t, lost: map[string]string{}, faults: map[string]string{}, writer: "us-east-1", traffic: "us-east-1", lag: map[string]string{},
		sick: map[string]bool{}, alarms: map[string][]string{}, account: simulatedAccount, goes: "ends", calls: map[string]int{},
		found:   map[string]float64{"ReconcileTablePayments": 1204},
		repairs: newRepairs(), kept: map[string]string{}, tried: map[string]string{}, public: publicName,
	}
	certificate, ca, err := newSimulatedCertificate()
	if err != nil {
		return nil, nil, err
	}
	s.ca = ca
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	s.address = listener.Addr().String()
	over := make(chan struct{})
	connections := queue{make(chan net.Conn), over}
	server := &http.Server{
		Handler: http.HandlerFunc(s.serve), ErrorLog: log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, targetKey{}, c.(*tls.Conn).NetConn().(tunnel).target)
		},
	}
	go server.Serve(connections)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go s.proxy(c, func(t tunnel) {
				select {
				case connections.made <- tls.Server(t, &tls.Config{Certificates: []tls.Certificate{certificate}}):
				case <-over:
					t.Close()
				}
			}, over)
		}
	}()
	return s, func() { close(over); listener.Close(); server.Close() }, nil
}

// proxy answers one CONNECT, or does not, if the Region is lost.
func (s *simulated) proxy(c net.Conn, hand func(tunnel), over <-chan struct{}) {
	request, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil || request.Method != http.MethodConnect {
		c.Close()
		return
	}
	host := strings.TrimSuffix(request.URL.Host, ":443")
	s.mu.Lock()
	how := s.lost[regionOf(host)]
	if host == s.public {
		how = s.lost[s.traffic]
	}
	s.mu.Unlock()
	switch how {
	case "silent": // accepted, and never answered
		<-over
		c.Close()
	case "refused":
		io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		c.Close()
	default:
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		hand(tunnel{c, host})
	}
}

func regionOf(host string) string {
	for _, region := range simulatedRegions {
		if strings.Contains(host, region) {
			return region
		}
	}
	return ""
}

func newSimulatedCertificate() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	// A Region's own name of the API is not in it: whoever asks for that has to ask under the public name.
	names := []string{publicName, acceptedName, "iam.amazonaws.com", "route53.amazonaws.com"}
	for _, region := range simulatedRegions {
		names = append(names, "*."+region+".amazonaws.com", "*."+region+".api.aws")
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulated"}, DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func (s *simulated) serve(w http.ResponseWriter, r *http.Request) {
	host := r.Context().Value(targetKey{}).(string)
	region := regionOf(host)
	body, _ := io.ReadAll(r.Body)
	if strings.HasSuffix(host, s.public) {
		s.api(w, r, body, region)
		return
	}
	if host != r.Host {
		s.t.Errorf("a request for %s came to %s", r.Host, host)
	}
	if s.stacks != "" && s.accepts(w, r, host, region, body) {
		return
	}
	service := strings.Split(host, ".")[0]
	operation := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	switch service {
	case "sts":
		operation = "AssumeRole"
		if strings.Contains(string(body), "GetCallerIdentity") {
			operation = "GetCallerIdentity"
		}
	case "rds":
		form, _ := url.ParseQuery(string(body))
		operation = form.Get("Action")
	case "ssm":
		operation = strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSSM.")
	case "dynamodb", "sqs", "events":
		_, operation, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	case "lambda":
		operation = "Invoke"
	case "backup":
		operation = map[string]string{"/backup-vaults/payment-dev/recovery-points": "ListRecoveryPointsByBackupVault", "/restore-jobs": "ListRestoreJobs"}[strings.TrimSuffix(r.URL.Path, "/")]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost[region] != "" { // a connection from before the loss
		s.fail(w, r, service, operation, "silent")
		return
	}
	s.calls[service+" "+region+" "+operation]++
	// A service takes no request that is signed for another Region.
	if scope := "/" + region + "/" + service + "/aws4_request"; !strings.Contains(r.Header.Get("Authorization"), scope) && service != "monitoring" {
		s.t.Errorf("a request to %s is signed with %q, without %s", host, r.Header.Get("Authorization"), scope)
	}
	fault := s.faults[service+" "+region]
	if own, ok := s.faults[operation+" "+region]; ok {
		fault = own
	}
	if fault == "truncated" { // what a connection that was cut leaves of a good answer
		whole := httptest.NewRecorder()
		defer func(to http.ResponseWriter) {
			maps.Copy(to.Header(), whole.Header())
			to.WriteHeader(whole.Code)
			to.Write(whole.Body.Bytes()[:whole.Body.Len()*2/3])
		}(w)
		w, fault = whole, ""
	}
	if s.fail(w, r, service, operation, fault) {
		return
	}
	// With the operators' roles, each Region knows its own alone.
	if token := r.Header.Get("X-Amz-Security-Token"); service != "sts" && s.roles && token != "operator-"+region {
		s.fail(w, r, service, operation, "denied")
		return
	}
	switch operation {
	case "GetCallerIdentity":
		fmt.Fprintf(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::%[1]s:user/erin</Arn><UserId>U</UserId><Account>%[1]s</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, s.account)
	case "AssumeRole":
		wanted := url.Values{"RoleArn": {"arn:aws:iam::" + s.account + ":role/payment-dev-operator-" + region}}.Encode()
		if !strings.Contains(string(body), wanted) {
			s.t.Errorf("in %s somebody assumes %s", region, body)
		}
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIASIMULATED</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>operator-%s</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			region, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	case "DescribeGlobalClusters":
		s.globalClusters(w, region)
	case "GetParameter":
		s.parameter(w)
	case "GetMetricData":
		s.metricData(w, region, body)
	case "DescribeAlarms":
		s.describeAlarms(w, region, body)
	case "ListRecoveryPointsByBackupVault":
		s.recoveryPoints(w, r, region)
	case "ListRestoreJobs":
		s.restoreJobs(w, r, region)
	default:
		if !s.repair(w, r, service, region, operation, body) {
			s.plan(w, region, operation, body)
		}
	}
}

// fail answers with a fault, in the service's own way.
func (s *simulated) fail(w http.ResponseWriter, r *http.Request, service, operation, fault string) bool {
	code, message, status := "", "", http.StatusBadRequest
	switch fault {
	case "":
		return false
	case "silent":
		s.mu.Unlock()
		<-r.Context().Done()
		s.mu.Lock()
		return true
	case "malformed":
		w.Header().Set("Content-Type", "application/octet-stream")
		io.WriteString(w, "<html>this is no answer")
		return true
	case "empty":
		w.WriteHeader(http.StatusOK)
		return true
	case "page": // what a hotel's network or a company's proxy says
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!doctype html><title>Sign in to the network</title>")
		return true
	case "badgateway":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		io.WriteString(w, "<html><h1>502 Bad Gateway</h1></html>")
		return true
	case "hollow": // an answer in which nothing is
		switch service {
		case "rds", "sts":
			fmt.Fprintf(w, "<%[1]sResponse><%[1]sResult></%[1]sResult></%[1]sResponse>", operation)
		case "ssm", "backup":
			io.WriteString(w, "{}")
		default:
			writeCBOR(w, http.StatusOK, cbor.Map{})
		}
		return true
	case "denied":
		code, message, status = "AccessDeniedException", "User: arn:aws:sts::"+s.account+":assumed-role/somebody is not authorized", http.StatusForbidden
		if service == "rds" || service == "sts" {
			code = "AccessDenied"
		}
	case "throttled":
		code, message = "ThrottlingException", "Rate exceeded"
		if service == "rds" {
			code = "Throttling"
		}
	case "expired":
		code, message, status = "ExpiredTokenException", "The security token included in the request is expired", http.StatusForbidden
	case "busy":
		code, message = "IllegalStateException", "An execution of the plan is in progress"
	}
	switch service {
	case "rds", "sts":
		w.WriteHeader(status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, code, message)
	case "ssm", "dynamodb", "sqs", "events", "lambda":
		writeFault(w, status, code, message)
	case "backup":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"message": message})
	default:
		writeCBOR(w, status, cbor.Map{"__type": cbor.String("com.amazonaws." + service + "#" + code), "message": cbor.String(message)})
	}
	return true
}

func (s *simulated) globalClusters(w http.ResponseWriter, region string) {
	writer, members := s.writer, ""
	if s.split && region != s.writer {
		writer = region
	}
	for _, r := range simulatedRegions {
		state := "<SynchronizationStatus>connected</SynchronizationStatus>"
		if r == writer {
			state = ""
		}
		members += fmt.Sprintf("<GlobalClusterMember><DBClusterArn>arn:aws:rds:%s:%s:cluster:payment-dev-%s</DBClusterArn><IsWriter>%t</IsWriter>%s<Readers/></GlobalClusterMember>", r, s.account, r, r == writer, state)
	}
	moving := ""
	if s.moving != "" {
		moving = "<FailoverState><Status>" + s.moving + "</Status></FailoverState>"
	}
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<DescribeGlobalClustersResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DescribeGlobalClustersResult><GlobalClusters><GlobalClusterMember>`+
		`<GlobalClusterIdentifier>payment-dev</GlobalClusterIdentifier><Status>available</Status>%s<GlobalClusterMembers>%s</GlobalClusterMembers>`+
		`</GlobalClusterMember></GlobalClusters></DescribeGlobalClustersResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeGlobalClustersResponse>`, moving, members)
}

func (s *simulated) parameter(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if s.gone {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"__type":"ParameterNotFound"}`)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"Parameter": map[string]any{
		"Name": "/payment/dev/recovery/plan-arn", "Type": "String", "Value": strings.Replace(simulatedPlan, simulatedAccount, s.account, 1), "Version": 1,
	}})
}

var writeCBOR, moment = simulation.WriteCBOR, simulation.CBORTime

func (s *simulated) metricData(w http.ResponseWriter, region string, body []byte) {
	asked, err := cbor.Decode(body)
	if err != nil {
		s.t.Errorf("a request that is no CBOR: %v", err)
		return
	}
	results := cbor.List{}
	for _, q := range asked.(cbor.Map)["MetricDataQueries"].(cbor.List) {
		query := q.(cbor.Map)
		id := string(query["Id"].(cbor.String))
		times, values := cbor.List{}, cbor.List{}
		at := time.Now().Truncate(time.Minute)
		if value, ok := s.value(region, query, &at); ok {
			times, values = append(times, moment(at)), append(values, cbor.Float64(value))
		}
		results = append(results, cbor.Map{"Id": cbor.String(id), "Label": cbor.String(id), "StatusCode": cbor.String("Complete"), "Timestamps": times, "Values": values})
	}
	writeCBOR(w, http.StatusOK, cbor.Map{"MetricDataResults": results})
}

// value is a metric as this Region has it: the lag in the secondary alone, the reconciliation's in the writer's.
func (s *simulated) value(region string, query cbor.Map, at *time.Time) (float64, bool) {
	if expression, ok := query["Expression"].(cbor.String); ok {
		if !strings.Contains(string(expression), "payment-dev-"+region) || region == s.writer || s.lag[region] == "none" {
			return 0, false
		}
		value, err := strconv.ParseFloat(s.lag[region], 64)
		if err != nil {
			value = 640
		}
		return value, true
	}
	metric := query["MetricStat"].(cbor.Map)["Metric"].(cbor.Map)
	name := string(metric["MetricName"].(cbor.String))
	of := string(metric["Dimensions"].(cbor.List)[0].(cbor.Map)["Value"].(cbor.String))
	switch {
	case of == "payment-dev-ledger" && name == "ApproximateNumberOfMessagesVisible":
		return 12, true
	case of == "payment-dev-ledger" && name == "ApproximateAgeOfOldestMessage":
		return 3, true
	case of == "payment-dev-ledger-dead-letters":
		return 0, true
	case of == "reconcile" && !s.none && region == s.writer:
		moved := false
		for _, r := range s.run {
			moved = moved || r.state == "completed" && r.region == region
		}
		if !moved || s.silently {
			*at = at.Add(-20 * time.Minute)
		}
		return s.found[name], true
	}
	return 0, false
}

// describeAlarms tells of composite alarms only whoever asks for that type.
func (s *simulated) describeAlarms(w http.ResponseWriter, region string, body []byte) {
	asked, _ := cbor.Decode(body)
	types, _ := asked.(cbor.Map)["AlarmTypes"].(cbor.List)
	if state, _ := asked.(cbor.Map)["StateValue"].(cbor.String); state != "ALARM" {
		s.t.Errorf("alarms were asked for in the state %q", state)
	}
	metric, composite := cbor.List{}, cbor.List{}
	for _, alarm := range s.alarms[region] {
		words := strings.Fields(alarm)
		actions := cbor.List{cbor.String("arn:aws:sns:" + region + ":" + s.account + ":payment-dev-alerts")}
		if len(words) > 1 && words[1] == "silent" {
			actions = cbor.List{}
		}
		one := cbor.Map{"AlarmName": cbor.String(words[0]), "StateValue": cbor.String("ALARM"), "StateUpdatedTimestamp": moment(time.Now().Add(-4 * time.Minute)), "AlarmActions": actions}
		if len(words) > 1 && words[1] == "composite" {
			composite = append(composite, one)
		} else {
			metric = append(metric, one)
		}
	}
	if !slices.Contains(types, cbor.Value(cbor.String("CompositeAlarm"))) {
		composite = nil
	}
	writeCBOR(w, http.StatusOK, cbor.Map{"MetricAlarms": metric, "CompositeAlarms": composite})
}

// recoveryPoints tells of a vault a page at a time, the oldest first: nothing is said about an order.
func (s *simulated) recoveryPoints(w http.ResponseWriter, r *http.Request, region string) {
	if s.gone {
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"Code":"ERROR_8","Message":"Backup vault payment-dev does not exist","Type":"Client"}`)
		return
	}
	other := simulatedRegions[0]
	if region == other {
		other = simulatedRegions[1]
	}
	point := func(arn, resource, kind, status string, age time.Duration) map[string]any {
		return map[string]any{"RecoveryPointArn": arn, "ResourceArn": resource, "ResourceType": kind, "Status": status, "BackupVaultName": "payment-dev",
			"CreationDate": float64(time.Now().Add(-age).UnixMilli()) / 1000}
	}
	points := []map[string]any{point("arn:aws:ec2:"+region+"::snapshot/snap-1", "arn:aws:ec2:"+region+":"+s.account+":volume/vol-1", "EBS", "COMPLETED", time.Minute)}
	for _, of := range []struct{ what, source string }{{"", region}, {"copied-", other}} {
		for _, kind := range []struct{ what, name, resource string }{
			{"cluster", "Aurora", "arn:aws:rds:" + of.source + ":" + s.account + ":cluster:payment-dev-" + of.source},
			{"table", "DynamoDB", "arn:aws:dynamodb:" + of.source + ":" + s.account + ":table/payment-dev-sessions"},
		} {
			name := "arn:aws:backup:" + region + ":" + s.account + ":recovery-point:" + of.what + kind.what
			age := s.kept[region+" "+of.what+kind.what]
			if age == "none" {
				continue
			}
			newest, err := time.ParseDuration(age)
			if err != nil {
				newest = 6*time.Hour + 40*time.Minute
			}
			points = append(points, point(name+"-2", kind.resource, kind.name, "COMPLETED", newest+24*time.Hour), point(name+"-1", kind.resource, kind.name, "COMPLETED", newest),
				point(name+"-0", kind.resource, kind.name, "CREATING", time.Minute)) // one that is being made is none yet
		}
	}
	half := len(points) / 2
	page := map[string]any{"RecoveryPoints": points[:half], "NextToken": "more"}
	if r.URL.Query().Get("nextToken") == "more" {
		page = map[string]any{"RecoveryPoints": points[half:]}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(page)
}

// restoreJobs tells of the testing plan's restores, and of one that somebody else has made.
func (s *simulated) restoreJobs(w http.ResponseWriter, r *http.Request, region string) {
	if r.URL.Query().Get("createdAfter") == "" {
		s.t.Errorf("all restores since ever are asked for")
	}
	job := func(kind, state, verdict, message, plan string, age time.Duration) map[string]any {
		return map[string]any{"RestoreJobId": "job", "ResourceType": kind, "Status": state, "ValidationStatus": verdict, "ValidationStatusMessage": message, "StatusMessage": message,
			"CreationDate": float64(time.Now().Add(-age).UnixMilli()) / 1000, "CreatedBy": map[string]any{"RestoreTestingPlanArn": "arn:aws:backup:" + region + ":" + s.account + ":restore-testing-plan:" + plan}}
	}
	jobs := []map[string]any{job("Aurora", "COMPLETED", "FAILED", "not ours", "another-1", time.Minute), {"RestoreJobId": "by hand", "Status": "FAILED", "CreationDate": 1.0}}
	for what, kind := range map[string]string{"cluster": "Aurora", "table": "DynamoDB"} {
		words := strings.SplitN(s.tried[region+" "+what], " ", 4) // age, state, verdict, message
		if words[0] == "none" {
			continue
		}
		age, err := time.ParseDuration(words[0])
		if err != nil {
			age, words = 52*time.Hour, []string{"", "COMPLETED", "SUCCESSFUL"}
		}
		words = append(words, "", "")
		message := words[3]
		jobs = append(jobs, job(kind, "COMPLETED", "SUCCESSFUL", "", "payment_dev-a1b2", 7*24*time.Hour+age), job(kind, words[1], words[2], message, "payment_dev-a1b2", age))
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"RestoreJobs": jobs})
}

func (s *simulated) plan(w http.ResponseWriter, region, operation string, body []byte) {
	var asked cbor.Map
	if value, err := cbor.Decode(body); err == nil {
		asked, _ = value.(cbor.Map)
	}
	text := func(key string) string { v, _ := asked[key].(cbor.String); return string(v) }
	switch operation {
	case "GetPlanEvaluationStatus":
		answer := cbor.Map{"planArn": cbor.String(simulatedPlan), "evaluationState": cbor.String("passed"), "lastEvaluationTime": moment(time.Now().Add(-11 * time.Minute))}
		if s.warning != "" {
			answer["evaluationState"] = cbor.String("actionRequired")
			answer["warnings"] = cbor.List{cbor.Map{"version": cbor.String("1"), "warningStatus": cbor.String("active"), "warningMessage": cbor.String(s.warning),
				"stepName": cbor.String("promote the database"), "warningUpdatedTime": moment(time.Now())}}
		}
		writeCBOR(w, http.StatusOK, answer)
	case "ListRoute53HealthChecksInRegion":
		checks := cbor.List{}
		for _, r := range simulatedRegions {
			status := "unhealthy"
			if r == s.traffic {
				status = "healthy"
			}
			checks = append(checks, cbor.Map{"hostedZoneId": cbor.String("Z1"), "recordName": cbor.String("plan." + s.public), "region": cbor.String(r), "status": cbor.String(status)})
		}
		writeCBOR(w, http.StatusOK, cbor.Map{"healthChecks": checks})
	case "ListPlanExecutions":
		items := cbor.List{}
		for _, r := range s.run {
			items = append(items, cbor.Map{
				"planArn": cbor.String(simulatedPlan), "executionId": cbor.String(r.id), "executionRegion": cbor.String(r.region), "executionAction": cbor.String("activate"),
				"executionState": cbor.String(r.state), "mode": cbor.String(r.mode), "startTime": moment(r.started), "comment": cbor.String(r.comment),
			})
		}
		writeCBOR(w, http.StatusOK, cbor.Map{"items": items})
	case "StartPlanExecution":
		if text("targetRegion") != region || text("action") != "activate" || text("latestVersion") != "true" {
			s.t.Errorf("the plan was started in %s with %v", region, asked)
		}
		r := newRun("exec-"+strconv.Itoa(len(s.run)+1), region, text("mode"), text("comment"))
		s.run = append(s.run, r)
		if s.goes == "vanishes" { // it is started, and the answer is lost
			panic(http.ErrAbortHandler)
		}
		writeCBOR(w, http.StatusOK, cbor.Map{"executionId": cbor.String(r.id), "activateRegion": cbor.String(region)})
	case "GetPlanExecution":
		for _, r := range s.run {
			if r.id == text("executionId") && r.region == region {
				s.proceed(r)
				writeCBOR(w, http.StatusOK, r.cbor())
				return
			}
		}
		writeCBOR(w, http.StatusBadRequest, cbor.Map{"__type": cbor.String("com.amazonaws.arcregionswitch#ResourceNotFoundException"), "message": cbor.String("no such execution")})
	default:
		s.t.Errorf("%s was asked for %s", region, operation)
	}
}

var simulatedSteps = []string{"approve", "promote the database", "start the ledger here", "reconcile", "move payments here", "stop the other ledger"}

func newRun(id, region, mode, comment string) *run {
	r := &run{id: id, region: region, mode: mode, comment: comment, state: "inProgress", started: time.Now(), steps: map[string]string{}, times: map[string][2]time.Time{}}
	for _, step := range simulatedSteps {
		r.steps[step] = "notStarted"
	}
	return r
}

func (r *run) set(step, status string) {
	r.steps[step] = status
	times := r.times[step]
	if times[0].IsZero() {
		times[0] = time.Now()
	}
	if status == "completed" || status == "skipped" || status == "failed" {
		times[1] = time.Now()
	}
	r.times[step] = times
}

// proceed takes an execution one step on.
func (s *simulated) proceed(r *run) {
	last := func(step string) string {
		if r.mode == "ungraceful" {
			return "skipped"
		}
		return "completed"
	}
	r.looks++
	switch {
	case r.looks == 1:
		r.state = "pendingManualApproval"
		r.set("approve", "pendingApproval")
	case s.goes == "waits" || r.state == "canceled":
		r.looks--
	case s.goes == "declined":
		r.state = "canceled"
		r.set("approve", "failed")
	case r.looks == 3:
		r.state = "inProgress"
		r.set("approve", "completed")
		r.set("promote the database", "running")
		s.moving = "failing-over"
	case s.goes == "pauses" && r.looks == 4:
		r.state = "pausedByFailedStep"
		r.set("promote the database", "failed")
	case s.goes == "throttles" && r.looks == 4:
		s.faults["GetPlanExecution "+r.region] = "throttled"
		time.AfterFunc(500*time.Millisecond, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.faults, "GetPlanExecution "+r.region)
		})
	case s.goes == "lost" && r.looks == 4:
		s.lost[r.region] = "silent"
	case r.looks == 5:
		r.state = "inProgress"
		s.writer, s.moving = r.region, ""
		r.set("promote the database", "completed")
		r.set("start the ledger here", "running")
	case r.looks == 6:
		r.set("start the ledger here", "completed")
		for _, step := range simulatedSteps[3:] {
			r.set(step, "running")
		}
	case r.looks == 7:
		s.traffic = r.region
		r.state = "completed"
		r.set("reconcile", last("reconcile"))
		r.set("stop the other ledger", last("stop the other ledger"))
		r.set("move payments here", "completed")
		if s.goes == "skips" {
			r.state = "completedWithExceptions"
			r.set("move payments here", "skipped")
		}
	}
}

func (r *run) cbor() cbor.Value {
	states := cbor.List{}
	for _, step := range simulatedSteps {
		state := cbor.Map{"name": cbor.String(step), "status": cbor.String(r.steps[step]), "stepMode": cbor.String(r.mode)}
		if times := r.times[step]; !times[0].IsZero() {
			state["startTime"] = moment(times[0])
			if !times[1].IsZero() {
				state["endTime"] = moment(times[1])
			}
		}
		states = append(states, state)
	}
	return cbor.Map{
		"planArn": cbor.String(simulatedPlan), "executionId": cbor.String(r.id), "executionRegion": cbor.String(r.region), "executionAction": cbor.String("activate"),
		"executionState": cbor.String(r.state), "mode": cbor.String(r.mode), "startTime": moment(r.started), "comment": cbor.String(r.comment), "stepStates": states,
	}
}

// api is the payment API of a Region, or of the one that the public name leads to.
func (s *simulated) api(w http.ResponseWriter, r *http.Request, body []byte, region string) {
	if r.Host != s.public {
		s.t.Errorf("the API was asked for under the name %s", r.Host)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if region == "" {
		region = s.traffic
	}
	s.calls["api "+region+" "+r.Method]++
	fault := s.faults["pay "+region]
	if r.Method == http.MethodGet {
		fault = s.faults["health "+region]
	}
	switch fault { // before the payment API, or in place of it
	case "denied":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"Message":"User: arn:aws:iam::%s:user/erin is not authorized to perform: execute-api:Invoke"}`, s.account)
		return
	case "throttled":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		io.WriteString(w, `{"message":"Too Many Requests"}`)
		return
	case "silent", "page", "badgateway", "empty", "malformed":
		s.fail(w, r, "", "", fault)
		return
	case "truncated":
		fmt.Fprintf(w, `{"message":"Payment processed","transaction_id":"sm`)
		return
	}
	w.Header().Set("X-Region", region)
	w.Header().Set("Content-Type", "application/json")
	if s.sick[region] {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, `{"error":"the table cannot be written","region":%q}`, region)
		return
	}
	if session, id, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/payments/"), "/"); ok && r.Method == http.MethodGet && session != "" {
		s.read(w, session, id)
		return
	}
	if r.Method == http.MethodGet {
		io.WriteString(w, `{"status":"healthy"}`)
		return
	}
	payer := simulatedCredentials
	if s.roles { // either Region's operator may pay to either
		payer = aws.Credentials{AccessKeyID: "ASIASIMULATED", SecretAccessKey: "secret", SessionToken: "operator-us-west-2"}
		if token := r.Header.Get("X-Amz-Security-Token"); token == "operator-us-east-1" {
			payer.SessionToken = token
		}
	}
	verify := simulation.Signatures{Credentials: payer, UserARN: "arn:aws:iam::" + s.account + ":user/operator", Region: region, Clock: systemClock{}}
	if _, err := verify.Verify(r, body); err != nil {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"message":"Missing Authentication Token: %v"}`, err)
		return
	}
	if s.faults["pay "+region] == "conflict" {
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprintf(w, `{"error":"the identity belongs to a payment of another amount","region":%q}`, region)
		return
	}
	var p map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.UseNumber()
	if err := decoder.Decode(&p); err != nil {
		s.t.Errorf("a payment that is no JSON: %s", body)
	}
	acceptedIn := region
	if before := s.find(fmt.Sprint(p["session_id"]), fmt.Sprint(p["transaction_id"])); before != nil {
		acceptedIn = before.region
		w.Header().Set("Idempotent-Replayed", "true")
	} else {
		s.keep(p, region)
	}
	amount := fmt.Sprint(p["amount"])
	fmt.Fprintf(w, `{"message":"Payment processed","transaction_id":%q,"amount":%s,"currency":%q,"region":%q,"session_id":%q}`, p["transaction_id"], amount, p["currency"], acceptedIn, p["session_id"])
}
