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
	"payments-dr/internal/simulation/awswire"
)

// The simulated deployment answers as AWS does on the wire (package awswire), and the payment API with its contract. It stands behind an
// HTTP proxy, so that the tool asks by the services' real names, over TLS, and a Region can be lost by its names: then nothing of it
// answers.

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
	gone     bool               // nothing is deployed
	roles    bool               // only the operators' roles may ask
	found    map[string]float64 // the last reconciliation's
	none     bool               // no reconciliation is told
	silently bool               // nor after a move
	kept     map[string]string  // "Region cluster", table, copied-cluster or copied-table: how old, or none
	tried    map[string]string  // "Region cluster" or table: how old and what verdict, or none
	plan     awswire.Plan
	looks    map[*awswire.Execution]int // an execution goes on by one step whenever it is looked at
	goes     string                     // what becomes of an execution: ends, pauses, declined, waits, skips, vanishes, throttles, lost
	calls    map[string]int             // "service Region operation"
	repairs  *repairs
	paid     map[string][]paid
	public   string // the platform's public name
	stacks   string // if given, the folder of what is deployed: see acceptance_test.go
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
		sick: map[string]bool{}, alarms: map[string][]string{}, account: simulatedAccount, goes: "ends", looks: map[*awswire.Execution]int{}, calls: map[string]int{},
		found:   map[string]float64{"ReconcileTablePayments": 1204, "ReconcileClean": 1},
		repairs: newRepairs(), kept: map[string]string{}, tried: map[string]string{}, public: publicName,
	}
	s.plan = awswire.Plan{
		ARN: simulatedPlan, Now: func() time.Time { return time.Now().Add(-11 * time.Minute) }, WarnedStep: "promote the database", Zone: "Z1", Record: "planned." + publicName,
		Regions: simulatedRegions, Healthy: func(region string) bool { return region == s.traffic }, Start: s.start, Look: s.proceed,
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
	var asked cbor.Map
	if service == "monitoring" || service == "arc-region-switch" {
		var err error
		if asked, err = awswire.ReadCBOR(body); err != nil {
			s.t.Errorf("%s was asked for %s: %v", region, operation, err)
		}
	}
	switch operation {
	case "GetCallerIdentity":
		awswire.WriteXML(w, service, operation, fmt.Sprintf(`<Arn>arn:aws:iam::%[1]s:user/erin</Arn><UserId>U</UserId><Account>%[1]s</Account>`, s.account))
	case "AssumeRole":
		wanted := url.Values{"RoleArn": {"arn:aws:iam::" + s.account + ":role/payment-dev-operator-" + region}}.Encode()
		if !strings.Contains(string(body), wanted) {
			s.t.Errorf("in %s somebody assumes %s", region, body)
		}
		awswire.WriteXML(w, service, operation, fmt.Sprintf(`<Credentials><AccessKeyId>ASIASIMULATED</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>operator-%s</SessionToken><Expiration>%s</Expiration></Credentials>`,
			region, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	case "DescribeGlobalClusters":
		s.globalClusters(w, region)
	case "GetParameter":
		if s.gone {
			awswire.WriteError(w, service, http.StatusBadRequest, "ParameterNotFound", "")
			return
		}
		awswire.WriteParameter(w, "/payment/dev/recovery/plan-arn", strings.Replace(simulatedPlan, simulatedAccount, s.account, 1))
	case "GetMetricData":
		awswire.WriteMetrics(w, asked, func(m awswire.Metric) (float64, time.Time, bool) { return s.value(region, m) })
	case "DescribeAlarms":
		s.describeAlarms(w, region, asked)
	case "ListRecoveryPointsByBackupVault":
		s.recoveryPoints(w, r, region)
	case "ListRestoreJobs":
		s.restoreJobs(w, r, region)
	default:
		if !s.repair(w, r, service, region, operation, body) && !s.plan.Serve(w, region, operation, asked) {
			s.t.Errorf("%s was asked for %s", region, operation)
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
			awswire.WriteXML(w, service, operation, "")
		case "ssm", "backup":
			io.WriteString(w, "{}")
		default:
			awswire.WriteCBOR(w, http.StatusOK, cbor.Map{})
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
	awswire.WriteError(w, service, status, code, message)
	return true
}

func (s *simulated) globalClusters(w http.ResponseWriter, region string) {
	writer := s.writer
	if s.split && region != s.writer {
		writer = region
	}
	cluster := func(region string) string {
		return "arn:aws:rds:" + region + ":" + s.account + ":cluster:payment-dev-" + region
	}
	awswire.GlobalCluster{Identifier: "payment-dev", Moving: s.moving, Clusters: []string{cluster(simulatedRegions[0]), cluster(simulatedRegions[1])}, Writer: cluster(writer)}.Write(w)
}

// value is a metric as this Region has it: the lag in the secondary alone, the reconciliation's in the writer's.
func (s *simulated) value(region string, m awswire.Metric) (value float64, at time.Time, ok bool) {
	now := time.Now()
	if m.Expression != "" {
		if !strings.Contains(m.Expression, "payment-dev-"+region) || region == s.writer || s.lag[region] == "none" {
			return 0, now, false
		}
		value, err := strconv.ParseFloat(s.lag[region], 64)
		if err != nil {
			value = 640
		}
		return value, now, true
	}
	switch {
	case m.Of == "payment-dev-ledger" && m.Name == "ApproximateNumberOfMessagesVisible":
		return 12, now, true
	case m.Of == "payment-dev-ledger" && m.Name == "ApproximateAgeOfOldestMessage":
		return 3, now, true
	case m.Of == "payment-dev-ledger-dead-letters":
		return 0, now, true
	case m.Of == "reconcile" && m.Name == "UnreconciledSeconds" && region == s.writer:
		return 1200, now, true
	case m.Of == "reconcile" && !s.none && region == s.writer:
		moved := slices.ContainsFunc(s.plan.Executions, func(e *awswire.Execution) bool { return e.State == "completed" && e.Region == region })
		if !moved || s.silently {
			now = now.Add(-20 * time.Minute)
		}
		return s.found[m.Name], now, true
	}
	return 0, now, false
}

func (s *simulated) describeAlarms(w http.ResponseWriter, region string, asked cbor.Map) {
	if state := asked["StateValue"]; state != cbor.String("ALARM") {
		s.t.Errorf("alarms were asked for in the state %q", state)
	}
	var raised []awswire.Alarm
	for _, alarm := range s.alarms[region] {
		name, kind, _ := strings.Cut(alarm, " ")
		one := awswire.Alarm{Name: name, Composite: kind == "composite", Since: time.Now().Add(-4 * time.Minute)}
		if kind != "silent" {
			one.Actions = []string{"arn:aws:sns:" + region + ":" + s.account + ":payment-dev-alerts"}
		}
		raised = append(raised, one)
	}
	awswire.WriteAlarms(w, asked, raised)
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
	awswire.WriteJSON(w, page)
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
	awswire.WriteJSON(w, map[string]any{"RestoreJobs": jobs})
}

// start starts an execution, whether one is in progress or not.
func (s *simulated) start(asked awswire.Start) *awswire.Execution {
	if asked.TargetRegion != asked.Region || asked.Action != "activate" || asked.LatestVersion != "true" {
		s.t.Errorf("the plan was started with %+v", asked)
	}
	e := newExecution("exec-"+strconv.Itoa(len(s.plan.Executions)+1), asked.Region, asked.Mode, asked.Comment)
	s.plan.Executions = append(s.plan.Executions, e)
	if s.goes == "vanishes" { // it is started, and the answer is lost
		panic(http.ErrAbortHandler)
	}
	return e
}

var simulatedSteps = []string{"approve", "promote the database", "start the ledger here", "reconcile", "move payments here", "stop the other ledger"}

func newExecution(id, region, mode, comment string) *awswire.Execution {
	e := &awswire.Execution{ID: id, Region: region, Mode: mode, Comment: comment, State: "inProgress", Started: time.Now()}
	for _, step := range simulatedSteps {
		e.Steps = append(e.Steps, &awswire.Step{Name: step, Status: "notStarted"})
	}
	return e
}

// proceed takes an execution one step on.
func (s *simulated) proceed(e *awswire.Execution) {
	last := func(step string) string {
		if e.Mode == "ungraceful" {
			return "skipped"
		}
		return "completed"
	}
	set := func(step, status string) { e.Set(step, status, time.Now()) }
	s.looks[e]++
	switch looks := s.looks[e]; {
	case looks == 1:
		e.State = "pendingManualApproval"
		set("approve", "pendingApproval")
	case s.goes == "waits" || e.State == "canceled":
		s.looks[e]--
	case s.goes == "declined":
		e.State = "canceled"
		set("approve", "failed")
	case looks == 3:
		e.State = "inProgress"
		set("approve", "completed")
		set("promote the database", "running")
		s.moving = "failing-over"
	case s.goes == "pauses" && looks == 4:
		e.State = "pausedByFailedStep"
		set("promote the database", "failed")
	case s.goes == "throttles" && looks == 4:
		s.faults["GetPlanExecution "+e.Region] = "throttled"
		time.AfterFunc(500*time.Millisecond, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.faults, "GetPlanExecution "+e.Region)
		})
	case s.goes == "lost" && looks == 4:
		s.lost[e.Region] = "silent"
	case looks == 5:
		e.State = "inProgress"
		s.writer, s.moving = e.Region, ""
		set("promote the database", "completed")
		set("start the ledger here", "running")
	case looks == 6:
		set("start the ledger here", "completed")
		for _, step := range simulatedSteps[3:] {
			set(step, "running")
		}
	case looks == 7:
		s.traffic = e.Region
		e.State = "completed"
		set("reconcile", last("reconcile"))
		set("stop the other ledger", last("stop the other ledger"))
		set("move payments here", "completed")
		if s.goes == "skips" {
			e.State = "completedWithExceptions"
			set("move payments here", "skipped")
		}
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
