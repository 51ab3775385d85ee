package policy

import (
	"slices"
	"strings"

	"payments-dr/internal/assembly"
)

const (
	typeFunction  = "AWS::Lambda::Function"
	typeMapping   = "AWS::Lambda::EventSourceMapping"
	typeQueue     = "AWS::SQS::Queue"
	typeRule      = "AWS::Events::Rule"
	typeAlarm     = "AWS::CloudWatch::Alarm"
	typeComposite = "AWS::CloudWatch::CompositeAlarm"
)

// The rules that nothing fails silently, and that a Region serves without the other.
var reliabilityRules = []*Rule{
	{
		Name:    "alarm-with-action",
		Forbids: "An alarm tells nobody.",
		Allowed: "an alarm with actions that are on; or without any, if it is an operand of a composite alarm of the same stack that has actions.",
		Fix:     "make it with newAlarm (constructs/alarm.go), and leave out \"silent\" unless a composite alarm speaks for it.",
		Why:     "An alarm that changes its state and nothing else is seen by whoever looks, which at night is nobody.",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, r assembly.Resource) {
				if len(assembly.OneOrMore(r.Properties["AlarmActions"])) > 0 && r.Properties["ActionsEnabled"] != false {
					return
				}
				name := assembly.Text(r.Properties["AlarmName"])
				spoken := name != "" && s.any(func(_ string, composite assembly.Resource) bool {
					return len(assembly.OneOrMore(composite.Properties["AlarmActions"])) > 0 && composite.Properties["ActionsEnabled"] != false &&
						strings.Contains(assembly.Text(composite.Properties["AlarmRule"]), `("`+name+`")`)
				}, typeComposite)
				if !spoken {
					report(s, id, "Properties/AlarmActions", "no action, and no composite alarm that has it as an operand")
				}
			}, typeAlarm, typeComposite)
		},
	},
	{
		Name:    "dead-letter-queue-alarm",
		Forbids: "A dead-letter queue can fill without anybody being told.",
		Allowed: "a dead-letter queue with an alarm on ApproximateNumberOfMessagesVisible, by its name, in the same stack.",
		Fix:     "make it with NewDeadLetterQueue (constructs/queue.go), which makes its alarm too.",
		Why:     "What ends there was not processed. SQS deletes it after 14 days at the latest (\"Amazon SQS message quotas\", Amazon SQS Developer Guide).",
		check: func(p *platform, report report) {
			for _, s := range p.stacks {
				for _, id := range s.deadLetterQueues() {
					name := assembly.Text(s.Template.Resources[id].Properties["QueueName"])
					alarmed := name != "" && s.any(func(_ string, alarm assembly.Resource) bool {
						return alarm.Properties["MetricName"] == "ApproximateNumberOfMessagesVisible" && slices.ContainsFunc(assembly.OneOrMore(alarm.Properties["Dimensions"]), func(d any) bool {
							return assembly.At(d, "Name") == "QueueName" && assembly.At(d, "Value") == name
						})
					}, typeAlarm)
					if !alarmed {
						report(s, id, "Properties/QueueName", "no alarm on the messages of "+short(s.Template.Resources[id].Properties["QueueName"]))
					}
				}
			}
		},
	},
	{
		Name:    "dead-letter-path",
		Forbids: "What fails in a function is lost.",
		Allowed: "a function that is invoked by an API or a custom resource, which wait for its answer; by an event source mapping, which has a dead-letter queue of its own; " +
			"or asynchronously, with an on-failure destination or a dead-letter queue.",
		Fix: "give it ConfigureAsyncInvoke with OnFailure, as in constructs/canary.go, or an event source mapping, as in constructs/relay.go.",
		Why: "Lambda discards an asynchronous invocation when its retries are over, unless it is told where to send it (\"Retaining records of asynchronous invocations\", AWS Lambda Developer Guide).",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, r assembly.Resource) {
				if found := s.losesInvocations(id, r); found != "" {
					report(s, id, "Properties/DeadLetterConfig", found)
				}
			}, typeFunction)
		},
	},
	{
		Name:    "mapping-dead-letter-queue",
		Forbids: "An event source mapping gives up what fails without keeping it.",
		Allowed: "a stream's mapping with an on-failure destination; a mapping of a queue that has a redrive policy.",
		Fix:     "give the mapping OnFailure, as in constructs/relay.go, or its queue a dead-letter queue, as in constructs/ledger.go.",
		Why: "A stream's mapping drops a batch when its retries or its records' age are over, and a queue without a redrive policy its messages when their retention is " +
			"(\"How Lambda processes records from stream and queue-based event sources\", AWS Lambda Developer Guide).",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, r assembly.Resource) {
				source := assembly.Referred(r.Properties["EventSourceArn"])
				if queue, ok := s.Template.Resources[source]; ok && queue.Type == typeQueue {
					if assembly.At(queue.Properties["RedrivePolicy"], "deadLetterTargetArn") == nil {
						report(s, id, "Properties/EventSourceArn", "the queue "+source+" without a redrive policy")
					}
					return
				}
				if assembly.At(r.Properties, "DestinationConfig", "OnFailure", "Destination") == nil {
					report(s, id, "Properties/DestinationConfig", "no on-failure destination")
				}
			}, typeMapping)
		},
	},
	{
		Name:    "queue-dead-letter-queue",
		Forbids: "A queue keeps what cannot be processed until it expires, and nobody is told.",
		Allowed: "a queue with a redrive policy; or one that is a dead-letter queue itself.",
		Fix:     "give it a DeadLetterQueue, as in constructs/ledger.go.",
		Why:     "Without one a message is tried until its retention is over and then deleted (\"Using dead-letter queues in Amazon SQS\", Amazon SQS Developer Guide).",
		check: func(p *platform, report report) {
			for _, s := range p.stacks {
				dead := s.deadLetterQueues()
				s.each(func(id string, r assembly.Resource) {
					if assembly.At(r.Properties["RedrivePolicy"], "deadLetterTargetArn") == nil && !slices.Contains(dead, id) {
						report(s, id, "Properties/RedrivePolicy", "none, and nothing has it as its dead-letter queue")
					}
				}, typeQueue)
			}
		},
	},
	{
		Name:    "rule-dead-letter-queue",
		Forbids: "A rule drops events that it cannot deliver.",
		Allowed: "a target with a dead-letter queue of the same stack.",
		Fix:     "give the target a DeadLetterQueue, as in constructs/event_bus.go.",
		Why:     "EventBridge tries for 24 hours and drops the event then, if there is no queue (\"Using dead-letter queues to process undelivered events\", Amazon EventBridge User Guide).",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, r assembly.Resource) {
				for _, target := range assembly.OneOrMore(r.Properties["Targets"]) {
					queue := assembly.Referred(assembly.At(target, "DeadLetterConfig", "Arn"))
					if s.Template.Resources[queue].Type != typeQueue {
						report(s, id, "Properties/Targets", "the target "+short(assembly.At(target, "Arn"))+" without a dead-letter queue")
					}
				}
			}, typeRule)
		},
	},
	{
		Name:    "own-region",
		Forbids: "Something in the way of a payment needs the other Region.",
		Allowed: "names and resources of the own Region, in what the API and the event source mappings invoke, in what they read and write, and in what they run with.",
		Fix:     "make the resource in each Region by the same construct and name it by the stack's own Region, or leave the work to what is not in a payment's way, such as a rule of the bus.",
		Why:     "A Region has to take payments and record them while the other is gone.",
		check: func(p *platform, report report) {
			for _, s := range p.stacks {
				others := p.otherRegions(s)
				for id, parts := range s.paymentPath() {
					for _, part := range parts {
						walk(part.property, part.value, func(path string, value any) {
							if found := s.elsewhere(value, others); found != "" {
								report(s, id, path, found)
							}
						})
					}
				}
			}
		},
	},
	{
		Name:    "strong-reference",
		Forbids: "A stack reads another stack's outputs when it is deployed: a weak reference.",
		Allowed: "strong references, which the producing stack writes into the reading stack's Region (crossRegionReferences), and names that are known at synthesis.",
		Fix:     "leave \"@aws-cdk/core:defaultCrossStackReferences\" in cdk.json at \"strong\", and refer to the resource itself.",
		Why:     "A stack with a weak reference into a lost Region cannot be updated, in the hour in which it may have to be.",
		check: func(p *platform, report report) {
			p.each(func(s *stack, id string, r assembly.Resource) {
				walk("Properties", r.Properties, func(path string, value any) {
					if output := assembly.At(value, "Fn::GetStackOutput"); output != nil {
						report(s, id, path, "Fn::GetStackOutput of "+short(output))
					}
				})
			})
			for _, s := range p.stacks {
				walk("Outputs", s.Template.Outputs, func(path string, value any) {
					if output := assembly.At(value, "Fn::GetStackOutput"); output != nil {
						report(s, "", path, "Fn::GetStackOutput of "+short(output))
					}
				})
				s.each(func(id string, r assembly.Resource) {
					if region := assembly.At(r.Properties, "ReaderProps", "region"); region != s.Region {
						report(s, id, "Properties/ReaderProps/region", "values that are read from "+short(region))
					}
				}, "Custom::CrossRegionExportReader")
			}
		},
	},
}

// deadLetterQueues are the stack's queues that something sends to what it could not deliver or process.
func (s *stack) deadLetterQueues() []string {
	var all []string
	s.each(func(_ string, r assembly.Resource) {
		targets := []any{
			assembly.At(r.Properties, "RedrivePolicy", "deadLetterTargetArn"), assembly.At(r.Properties, "DestinationConfig", "OnFailure", "Destination"),
			assembly.At(r.Properties, "DeadLetterConfig", "TargetArn"),
		}
		for _, target := range assembly.OneOrMore(r.Properties["Targets"]) {
			targets = append(targets, assembly.At(target, "DeadLetterConfig", "Arn"))
		}
		for _, target := range targets {
			if id := assembly.Referred(target); s.Template.Resources[id].Type == typeQueue {
				all = append(all, id)
			}
		}
	})
	slices.Sort(all)
	return slices.Compact(all)
}

// losesInvocations is how a function's invocations can be lost, or nothing.
func (s *stack) losesInvocations(id string, function assembly.Resource) string {
	kept := assembly.At(function.Properties, "DeadLetterConfig", "TargetArn") != nil || s.any(func(_ string, config assembly.Resource) bool {
		of := assembly.Referred(config.Properties["FunctionName"])
		return of == id && assembly.At(config.Properties, "DestinationConfig", "OnFailure", "Destination") != nil
	}, "AWS::Lambda::EventInvokeConfig")
	if kept {
		return ""
	}
	if s.any(func(_ string, rule assembly.Resource) bool { return mentions(rule.Properties["Targets"], id) }, typeRule) {
		return "a rule invokes it asynchronously, and nothing keeps an invocation that fails"
	}
	waited := s.any(func(_ string, r assembly.Resource) bool {
		switch r.Type {
		case "AWS::ApiGateway::Method":
			return mentions(r.Properties["Integration"], id)
		case typeMapping:
			return mentions(r.Properties["FunctionName"], id)
		case typeFunction: // the library's provider of a custom resource
			return mentions(assembly.At(r.Properties, "Environment", "Variables", "USER_ON_EVENT_FUNCTION_ARN"), id)
		default:
			return mentions(r.Properties["ServiceToken"], id)
		}
	})
	if !waited {
		return "nothing in the template invokes it, and nothing keeps an asynchronous invocation that fails"
	}
	return ""
}

// otherRegions are the platform's Regions that are not a stack's own.
func (p *platform) otherRegions(s *stack) []string {
	var others []string
	for _, region := range p.assembly.Settings.Both() {
		if region.Name != s.Region {
			others = append(others, region.Name)
		}
	}
	return others
}

// part is a part of a resource's properties.
type part struct {
	property string
	value    any
}

// paymentPath is what a payment goes through in a Region, by logical id: the API with all of it, the functions that it and the event
// source mappings invoke, with their roles' permissions, the mappings, and the queues that they read. The global stack has none of it.
func (s *stack) paymentPath() map[string][]part {
	path := map[string][]part{}
	add := func(id string) {
		if r, ok := s.Template.Resources[id]; ok {
			path[id] = []part{{"Properties", r.Properties}}
		}
	}
	var functions []string
	invoked := func(value any) {
		walk("", value, func(_ string, value any) {
			if id := assembly.Referred(value); s.Template.Resources[id].Type == typeFunction {
				functions = append(functions, id)
			}
		})
	}
	s.each(func(id string, r assembly.Resource) {
		switch r.Type {
		case typeMapping:
			add(id)
			invoked(r.Properties["FunctionName"])
			if source := assembly.Referred(r.Properties["EventSourceArn"]); s.Template.Resources[source].Type == typeQueue {
				add(source)
			}
		case "AWS::ApiGateway::Method":
			add(id)
			invoked(r.Properties["Integration"])
		case "AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage", "AWS::ApiGateway::BasePathMapping", "AWS::WAFv2::WebACLAssociation":
			add(id)
		case "AWS::ApiGateway::DomainName":
			path[id] = []part{{"Properties/RegionalCertificateArn", r.Properties["RegionalCertificateArn"]}}
		}
	})
	for _, id := range functions {
		add(id)
		role := assembly.Referred(s.Template.Resources[id].Properties["Role"])
		add(role)
		s.each(func(policy string, r assembly.Resource) {
			if mentions(r.Properties["Roles"], role) {
				add(policy)
			}
		}, "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
	}
	return path
}

// elsewhere is what of the other Regions a value is: a name or an ARN with one of them in it, or a resource that is there.
func (s *stack) elsewhere(value any, others []string) string {
	if name := assembly.Text(value); name != "" {
		for _, other := range others {
			if strings.Contains(name, other) {
				return name + ", of " + other
			}
		}
		return ""
	}
	o := assembly.Object(value)
	_, imported := o["Fn::ImportValue"]
	id := assembly.Referred(value)
	if !imported && s.Template.Resources[id].Type != "Custom::CrossRegionExportReader" {
		return ""
	}
	origin, err := s.platform.assembly.Origin(*s.Stack, value)
	if err != nil {
		return err.Error()
	}
	if origin.Stack.Region != s.Region {
		return origin.LogicalID + " of " + origin.Stack.Name + ", in " + origin.Stack.Region
	}
	return ""
}
