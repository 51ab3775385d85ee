package architecture

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
)

// place is a resource, or a replica of the table, where it is.
type place struct {
	// role is that of the stack that makes it.
	role   string
	region string
	// id is the logical id, and with a Region after it that of a table's replica.
	id       string
	resource assembly.Resource
}

// key is unique over all stacks.
func (p place) key() string { return p.role + "/" + p.id }

// namedTypes are the types whose resources have names that are known at synthesis: the property that holds the name, and the service
// and the form of the ARN after the account, if they are called by it.
var namedTypes = map[string]struct{ property, service, form string }{
	"AWS::CloudWatch::Alarm":     {"AlarmName", "cloudwatch", "alarm:%s"},
	"AWS::DynamoDB::GlobalTable": {"TableName", "dynamodb", "table/%s"},
	"AWS::Events::EventBus":      {"Name", "events", "event-bus/%s"},
	"AWS::Lambda::Function":      {"FunctionName", "lambda", "function:%s"},
	"AWS::RDS::DBCluster":        {"DBClusterIdentifier", "rds", "cluster:%s"},
	"AWS::SNS::Topic":            {"TopicName", "sns", "%s"},
	"AWS::SQS::Queue":            {"QueueName", "sqs", "%s"},
	"AWS::ApiGateway::RestApi":   {"Name", "", ""},
	"AWS::IAM::Role":             {"RoleName", "", ""},
	"AWS::KMS::Key":              {},
	"AWS::Logs::LogGroup":        {"LogGroupName", "logs", "log-group:%s"},
	"AWS::Backup::BackupVault":   {"BackupVaultName", "backup", "backup-vault:%s"},
	"AWS::RDS::GlobalCluster":    {"GlobalClusterIdentifier", "", ""},
}

// platform is the templates, with what is needed to find out what a value means.
type platform struct {
	*assembly.Assembly
	roles map[string]string
	// byARN are the resources whose name, and so whose ARN, is known at synthesis.
	byARN map[string]place
}

func read(a *assembly.Assembly) (*platform, error) {
	p := &platform{Assembly: a, roles: map[string]string{}, byARN: map[string]place{}}
	for _, role := range []string{"primary", "secondary", "global"} {
		stack, err := a.Stack(role)
		if err != nil {
			return nil, err
		}
		p.roles[stack.Name] = role
		for id, resource := range stack.Template.Resources {
			kind := namedTypes[resource.Type]
			name, _ := resource.Properties[kind.property].(string)
			if kind.form == "" || name == "" {
				continue
			}
			for _, at := range p.places(stack, id) {
				p.byARN[fmt.Sprintf("arn:aws:%s:%s:%s:"+kind.form, kind.service, at.region, stack.Account, name)] = at
			}
		}
	}
	return p, nil
}

// places are where a resource is: one for each replica of a table, and the stack's Region for everything else.
func (p *platform) places(stack assembly.Stack, id string) []place {
	at := place{role: p.roles[stack.Name], region: stack.Region, id: id, resource: stack.Template.Resources[id]}
	if at.resource.Type != "AWS::DynamoDB::GlobalTable" {
		return []place{at}
	}
	var replicas []place
	for _, region := range replicaRegions(at.resource) {
		at.region, at.id = region, id+"@"+region
		replicas = append(replicas, at)
	}
	return replicas
}

func replicaRegions(table assembly.Resource) (regions []string) {
	replicas, _ := table.Properties["Replicas"].([]any)
	for _, replica := range replicas {
		fields, _ := replica.(map[string]any)
		if region, ok := fields["Region"].(string); ok {
			regions = append(regions, region)
		}
	}
	slices.Sort(regions)
	return regions
}

// at are the resources that a value of a stack means: by references, which are followed through other stacks, and by ARNs.
func (p *platform) at(stack assembly.Stack, value any) (found []place) {
	add := func(at place) {
		if !slices.ContainsFunc(found, func(known place) bool { return known.key() == at.key() }) {
			found = append(found, at)
		}
	}
	switch value := value.(type) {
	case string:
		for arn, at := range p.byARN {
			if rest, ok := strings.CutPrefix(value, arn); ok && (rest == "" || rest[0] == '/' || rest[0] == ':') {
				add(at)
			}
		}
	case []any:
		for _, part := range value {
			for _, at := range p.at(stack, part) {
				add(at)
			}
		}
	case map[string]any:
		if origin, err := p.Origin(stack, value); err == nil {
			made := origin.Resource()
			if name, ok := made.Properties["TableName"].(string); ok && strings.HasPrefix(made.Type, "Custom::") {
				if at, ok := p.byARN["arn:aws:dynamodb:"+origin.Stack.Region+":"+stack.Account+":table/"+name]; ok {
					add(at)
				}
				return found
			}
			for _, at := range p.places(origin.Stack, origin.LogicalID) {
				if len(p.places(origin.Stack, origin.LogicalID)) == 1 || at.region == origin.Stack.Region {
					add(at)
				}
			}
			return found
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			for _, at := range p.at(stack, value[key]) {
				add(at)
			}
		}
	}
	return found
}

// name is what a resource is called: its name in AWS without the prefix that all have, or what it is made as.
func (p *platform) name(at place) string {
	kind := namedTypes[at.resource.Type]
	if name, ok := at.resource.Properties[kind.property].(string); ok && name != "" {
		return name
	}
	return madeAs(at.id)
}

// short is a name without the environment's prefix.
func (p *platform) short(name string) string {
	return strings.TrimPrefix(name, "payment-"+p.Settings.Environment+"-")
}

// hash is what the CDK puts after a logical id to keep it unique.
var hash = regexp.MustCompile(`[0-9A-F]{8}$`)

// madeAs is a logical id without its hash: the names of the constructs that a resource is made in. The path that the CDK keeps in
// a resource's metadata would be nicer, and is only there when its command has asked for it.
func madeAs(id string) string { return hash.ReplaceAllString(id, "") }

// sorted are the resources of a type, in the order of their ids.
func sorted(stack assembly.Stack, kind string) (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(stack.Template.Resources)) {
		if stack.Template.Resources[id].Type == kind {
			ids = append(ids, id)
		}
	}
	return ids
}

// asJSON is for values that are compared or shown whole.
func asJSON(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(data)
}
