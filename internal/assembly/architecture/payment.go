package architecture

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
)

// tableActions are those that touch a payment; writing ones first.
var (
	writingActions = []string{"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem", "dynamodb:TransactWriteItems"}
	readingActions = []string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"}
)

// PaymentWay is the way of a payment through both Regions, from the public name to the database, and where what fails on it ends.
// It has what lies on some way from an API to a database, and nothing else.
func PaymentWay(a *assembly.Assembly) (*Picture, error) {
	p, err := read(a)
	if err != nil {
		return nil, err
	}
	picture := &Picture{Direction: "TB"}
	failures := &Picture{}
	if err := p.publicName(picture); err != nil {
		return nil, err
	}
	for _, role := range []string{"primary", "secondary"} {
		stack, err := a.Stack(role)
		if err != nil {
			return nil, err
		}
		p.apis(picture, stack)
		p.permitted(picture, stack)
		p.mappings(picture, failures, stack)
		p.rules(picture, failures, stack)
	}
	keepBetween(picture, func(n Node) bool { return n.Shape == ShapeClient }, func(n Node) bool { return strings.HasPrefix(n.Label, "Aurora") })
	p.replication(picture)
	// Before all others, so that the layout puts each dead-letter queue beside what leads to it.
	ways := picture.Edges
	picture.Edges = nil
	for _, e := range failures.Edges {
		if node(picture, e.From) != nil {
			picture.add(*node(failures, e.To))
			picture.connect(e)
		}
	}
	picture.Edges = append(picture.Edges, ways...)
	return picture, nil
}

// keepBetween drops every node that is on no way from a first to a last one.
func keepBetween(p *Picture, first, last func(Node) bool) {
	reach := func(from func(Node) bool, step func(Edge) (string, string)) map[string]bool {
		seen := map[string]bool{}
		for _, n := range p.Nodes {
			if from(n) {
				seen[n.ID] = true
			}
		}
		for grown := true; grown; {
			grown = false
			for _, e := range p.Edges {
				if here, there := step(e); seen[here] && !seen[there] {
					seen[there], grown = true, true
				}
			}
		}
		return seen
	}
	ahead := reach(first, func(e Edge) (string, string) { return e.From, e.To })
	behind := reach(last, func(e Edge) (string, string) { return e.To, e.From })
	p.Nodes = slices.DeleteFunc(p.Nodes, func(n Node) bool { return !ahead[n.ID] || !behind[n.ID] })
	p.Edges = slices.DeleteFunc(p.Edges, func(e Edge) bool { return node(p, e.From) == nil || node(p, e.To) == nil })
}

// show adds a resource as a node.
func (p *platform) show(picture *Picture, at place) string {
	n := Node{ID: at.key(), Label: p.short(p.name(at)), Shape: ShapeBox, Group: at.region}
	switch at.resource.Type {
	case "AWS::ApiGateway::RestApi":
		n.Label = "payment API"
	case "AWS::Lambda::Function":
		n.Shape = ShapeFunction
	case "AWS::DynamoDB::GlobalTable":
		n.Shape, n.Label = ShapeData, "session table"
	case "AWS::RDS::DBCluster":
		n.Shape, n.Label = ShapeData, "Aurora, writer"
		if at.resource.Properties["SourceRegion"] != nil {
			n.Label = "Aurora, reader"
		}
	case "AWS::SQS::Queue":
		n.Shape = ShapeQueue
		if n.Label == "ledger" {
			n.Label = "ledger queue"
		}
	case "AWS::Events::EventBus":
		n.Shape, n.Label = ShapeBus, "bus"
	}
	picture.add(n)
	return n.ID
}

// publicName follows the records of the name that clients pay at to the APIs behind it.
func (p *platform) publicName(picture *Picture) error {
	picture.add(Node{ID: "client", Label: "client", Shape: ShapeClient})
	records, err := p.records()
	if err != nil {
		return err
	}
	name := p.Settings.APIName()
	picture.add(Node{ID: name, Label: name, Shape: ShapeName})
	picture.connect(Edge{From: "client", To: name, Label: "asks DNS, then pays"})
	var follow func(from string, seen []string)
	follow = func(from string, seen []string) {
		for _, r := range records {
			if r.name != from || slices.Contains(seen, r.alias+r.id) {
				continue
			}
			if r.alias != "" {
				follow(r.alias, append(seen, r.alias+r.id))
				continue
			}
			for _, target := range r.targets {
				for _, api := range p.behind(target) {
					picture.connect(Edge{From: name, To: p.show(picture, api)})
				}
			}
		}
	}
	follow(name, nil)
	return nil
}

// behind are the APIs that a custom domain leads to.
func (p *platform) behind(domain place) (apis []place) {
	stack, err := p.Stack(domain.role)
	if err != nil {
		return nil
	}
	for _, id := range sorted(stack, "AWS::ApiGateway::BasePathMapping") {
		properties := stack.Template.Resources[id].Properties
		for _, at := range p.at(stack, properties["DomainName"]) {
			if at.key() == domain.key() {
				apis = append(apis, p.at(stack, properties["RestApiId"])...)
			}
		}
	}
	return apis
}

// apis connects each API with the functions behind its methods.
func (p *platform) apis(picture *Picture, stack assembly.Stack) {
	for _, id := range sorted(stack, "AWS::ApiGateway::Method") {
		method := stack.Template.Resources[id].Properties
		if method["AuthorizationType"] != "AWS_IAM" {
			continue // GET /health, which is no payment
		}
		for _, api := range p.at(stack, method["RestApiId"]) {
			for _, function := range p.at(stack, assembly.At(method, "Integration", "Uri")) {
				picture.connect(Edge{From: p.show(picture, api), To: p.show(picture, function), Label: "signed (AWS_IAM)"})
			}
		}
	}
}

// permitted connects each function with the tables, buses and databases that its role lets it use.
func (p *platform) permitted(picture *Picture, stack assembly.Stack) {
	for _, id := range sorted(stack, "AWS::Lambda::Function") {
		function := p.places(stack, id)[0]
		if _, named := function.resource.Properties["FunctionName"]; !named {
			continue // the library's own
		}
		for _, role := range p.at(stack, function.resource.Properties["Role"]) {
			for _, s := range p.statements(role) {
				for _, at := range p.at(stack, s["Resource"]) {
					p.use(picture, function, at, assembly.Texts(s["Action"]))
				}
			}
		}
	}
}

func (p *platform) use(picture *Picture, function, at place, actions []string) {
	within := func(known []string) (found []string) {
		for _, action := range actions {
			if slices.Contains(known, action) {
				_, word, _ := strings.Cut(action, ":")
				found = append(found, word)
			}
		}
		return found
	}
	switch at.resource.Type {
	case "AWS::DynamoDB::GlobalTable":
		writes, reads := within(writingActions), within(readingActions)
		switch {
		case len(writes) > 0:
			picture.connect(Edge{From: p.show(picture, function), To: p.show(picture, at), Label: strings.Join(writes, ", ") + ", conditional"})
		case len(reads) > 0:
			picture.connect(Edge{From: p.show(picture, at), To: p.show(picture, function), Label: "reads"})
		}
	case "AWS::Events::EventBus":
		if slices.Contains(actions, "events:PutEvents") {
			picture.connect(Edge{From: p.show(picture, function), To: p.show(picture, at), Label: "PutEvents"})
		}
	case "AWS::RDS::DBCluster":
		if slices.Contains(actions, "rds-db:connect") {
			picture.connect(Edge{From: p.show(picture, function), To: p.show(picture, at), Label: "records"})
		}
	}
}

// mappings connects streams and queues with the functions that read them.
func (p *platform) mappings(picture, failures *Picture, stack assembly.Stack) {
	for _, id := range sorted(stack, "AWS::Lambda::EventSourceMapping") {
		mapping := stack.Template.Resources[id].Properties
		label, off := "batches of "+fmt.Sprint(mapping["BatchSize"]), mapping["Enabled"] == false
		if off {
			label = "off until promoted"
		}
		if filter := streamFilter(mapping); filter != "" {
			label = "stream: " + filter
		}
		for _, function := range p.at(stack, mapping["FunctionName"]) {
			for _, source := range p.at(stack, mapping["EventSourceArn"]) {
				picture.connect(Edge{From: p.show(picture, source), To: p.show(picture, function), Label: label, Dotted: off})
			}
			for _, queue := range p.at(stack, assembly.At(mapping, "DestinationConfig", "OnFailure", "Destination")) {
				failures.connect(Edge{From: function.key(), To: p.show(failures, queue), Label: "given up", Dotted: true, Failure: true})
			}
		}
	}
	for _, id := range sorted(stack, "AWS::Lambda::EventInvokeConfig") {
		config := stack.Template.Resources[id].Properties
		for _, function := range p.at(stack, config["FunctionName"]) {
			for _, queue := range p.at(stack, assembly.At(config, "DestinationConfig", "OnFailure", "Destination")) {
				failures.connect(Edge{From: function.key(), To: p.show(failures, queue), Label: "failed", Dotted: true, Failure: true})
			}
		}
	}
	for _, id := range sorted(stack, "AWS::SQS::Queue") {
		redrive := assembly.At(stack.Template.Resources[id].Properties, "RedrivePolicy")
		for _, queue := range p.at(stack, assembly.At(redrive, "deadLetterTargetArn")) {
			label := fmt.Sprintf("after %v tries", assembly.At(redrive, "maxReceiveCount"))
			failures.connect(Edge{From: p.places(stack, id)[0].key(), To: p.show(failures, queue), Label: label, Dotted: true, Failure: true})
		}
	}
}

// streamFilter says which records of a stream a mapping lets through.
func streamFilter(mapping map[string]any) string {
	pattern, _ := assembly.At(mapping, "FilterCriteria", "Filters", 0, "Pattern").(string)
	var filter struct {
		EventName []string `json:"eventName"`
		DynamoDB  struct {
			NewImage struct {
				Region struct{ S []string } `json:"region"`
			}
		} `json:"dynamodb"`
	}
	if json.Unmarshal([]byte(pattern), &filter) != nil || len(filter.DynamoDB.NewImage.Region.S) == 0 {
		return ""
	}
	return strings.Join(filter.EventName, ", ") + "\nof " + strings.Join(filter.DynamoDB.NewImage.Region.S, ", ")
}

// rules connects each bus with its rules' targets.
func (p *platform) rules(picture, failures *Picture, stack assembly.Stack) {
	for _, id := range sorted(stack, "AWS::Events::Rule") {
		rule := stack.Template.Resources[id].Properties
		for _, bus := range p.at(stack, rule["EventBusName"]) {
			if bus.resource.Type != "AWS::Events::EventBus" || rule["State"] == "DISABLED" {
				continue
			}
			label := "every payment"
			if regions := assembly.Texts(assembly.At(rule, "EventPattern", "detail", "region")); len(regions) > 0 {
				label = "payments of " + strings.Join(regions, ", ")
				if slices.Equal(regions, []string{stack.Region}) {
					label = "its own payments"
				}
			}
			for _, target := range assembly.OneOrMore(rule["Targets"]) {
				for _, at := range p.at(stack, assembly.At(target, "Arn")) {
					picture.connect(Edge{From: p.show(picture, bus), To: p.show(picture, at), Label: label})
				}
				for _, queue := range p.at(stack, assembly.At(target, "DeadLetterConfig", "Arn")) {
					failures.connect(Edge{From: bus.key(), To: p.show(failures, queue), Label: "not delivered", Dotted: true, Failure: true})
				}
			}
		}
	}
}

// replication connects the replicas of the table, and the members of the global database.
func (p *platform) replication(picture *Picture) {
	for _, stack := range p.Stacks {
		for _, id := range sorted(stack, "AWS::DynamoDB::GlobalTable") {
			replicas := p.places(stack, id)
			strong := replicas[0].resource.Properties["MultiRegionConsistency"] == "STRONG"
			label := "copied, eventually"
			if strong {
				label = "strongly consistent"
			}
			for i, replica := range replicas {
				for _, other := range replicas[i+1:] {
					if node(picture, replica.key()) != nil && node(picture, other.key()) != nil {
						picture.connect(Edge{From: replica.key(), To: other.key(), Label: label, Both: true})
					}
				}
				for _, witness := range assembly.OneOrMore(replica.resource.Properties["GlobalTableWitnesses"]) {
					region, _ := assembly.At(witness, "Region").(string)
					picture.add(Node{ID: "witness", Label: "witness\n" + region, Shape: ShapeData})
					if node(picture, replica.key()) != nil {
						picture.connect(Edge{From: replica.key(), To: "witness", Dotted: true})
					}
				}
			}
		}
	}
	type member struct {
		at     place
		global string
	}
	var members []member
	for _, stack := range p.Stacks {
		for _, id := range sorted(stack, "AWS::RDS::DBCluster") {
			m := member{at: p.places(stack, id)[0]}
			joined := m.at.resource.Properties["GlobalClusterIdentifier"]
			m.global, _ = joined.(string)
			for _, global := range p.at(stack, joined) {
				m.global = p.name(global)
			}
			members = append(members, m)
		}
	}
	for _, from := range members {
		for _, to := range members {
			if to.at.resource.Properties["SourceRegion"] == from.at.region && from.global == to.global && from.global != "" &&
				node(picture, from.at.key()) != nil && node(picture, to.at.key()) != nil {
				picture.connect(Edge{From: from.at.key(), To: to.at.key(), Label: "storage replication"})
			}
		}
	}
}
