// Package localdynamodb starts a real DynamoDB API on this machine, for tests: dynalite, from the project's own
// package.json. It keeps one Region's items in memory. It has no streams and no replication, and a refused condition does
// not carry the item.
package localdynamodb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"payments-dr/internal/simulation/loopback"
)

// Server is a running DynamoDB API.
type Server struct {
	// Endpoint is its address, for AWS_ENDPOINT_URL_DYNAMODB.
	Endpoint string
	command  *exec.Cmd
}

// outliveClients is a module that lets dynalite live on when a client breaks off a request, as one does whose context is
// cancelled. By itself it throws the request's error, which nobody catches.
const outliveClients = `data:text/javascript,process.on("uncaughtException", e => { if (e.code !== "ECONNRESET") throw e })`

// Start starts a server. moduleDir is the project's folder, where "npm ci" has put node_modules.
func Start(moduleDir string) (*Server, error) {
	script := filepath.Join(moduleDir, "node_modules", "dynalite", "cli.js")
	if _, err := os.Stat(script); err != nil {
		return nil, fmt.Errorf("find dynalite, which \"npm ci\" installs (or run \"make test\"): %w", err)
	}
	port, err := loopback.FreePort()
	if err != nil {
		return nil, err
	}
	command := exec.Command("node", "--import", outliveClients, script, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--createTableMs", "0")
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("open dynalite's output: %w", err)
	}
	var complaints strings.Builder
	command.Stderr = &complaints
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start dynalite: %w", err)
	}
	s := &Server{Endpoint: "http://127.0.0.1:" + strconv.Itoa(port), command: command}
	listening := make(chan bool, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		listening <- strings.Contains(line, "listening")
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case ok := <-listening:
		if !ok {
			s.Close()
			return nil, fmt.Errorf("start dynalite: %s", complaints.String())
		}
	case <-time.After(30 * time.Second):
		s.Close()
		return nil, errors.New("start dynalite: no word for 30 s")
	}
	return s, nil
}

// Close ends the server; its items are gone.
func (s *Server) Close() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
}

// Usage is the processor time that the server has used. It is known after Close.
func (s *Server) Usage() time.Duration {
	state := s.command.ProcessState
	if state == nil {
		return 0
	}
	return state.UserTime() + state.SystemTime()
}

// Config is an AWS configuration for the server.
func (s *Server) Config(region string) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(s.Endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("simulated", "simulated", ""),
	}
}

// Index is a global secondary index of two string keys that holds every attribute.
type Index struct{ Name, PartitionKey, SortKey string }

// CreateTable makes a table of two string keys, with its indexes.
func (s *Server) CreateTable(ctx context.Context, region, name, partitionKey, sortKey string, indexes ...Index) (*dynamodb.Client, error) {
	client := dynamodb.NewFromConfig(s.Config(region))
	in := &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		KeySchema:   keySchema(partitionKey, sortKey),
	}
	attributes := []string{partitionKey, sortKey}
	for _, index := range indexes {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName:  aws.String(index.Name),
			KeySchema:  keySchema(index.PartitionKey, index.SortKey),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
		})
		attributes = append(attributes, index.PartitionKey, index.SortKey)
	}
	slices.Sort(attributes)
	for _, attribute := range slices.Compact(attributes) { // an attribute is defined once, however many keys it is in
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{
			AttributeName: aws.String(attribute), AttributeType: types.ScalarAttributeTypeS,
		})
	}
	if _, err := client.CreateTable(ctx, in); err != nil {
		return nil, fmt.Errorf("create table %s: %w", name, err)
	}
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 10 * time.Millisecond })
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute); err != nil {
		return nil, fmt.Errorf("wait for table %s: %w", name, err)
	}
	return client, nil
}

func keySchema(partitionKey, sortKey string) []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: &partitionKey, KeyType: types.KeyTypeHash},
		{AttributeName: &sortKey, KeyType: types.KeyTypeRange},
	}
}

// Main is the body of a TestMain whose tests want a server: it runs them, and ends the process. moduleDir is Start's.
func Main(tests interface{ Run() int }, moduleDir string, server **Server) {
	started, err := Start(moduleDir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	*server = started
	code := tests.Run()
	started.Close()
	os.Exit(code)
}
