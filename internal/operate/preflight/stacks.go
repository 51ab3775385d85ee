package preflight

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cloudformationtypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"payments-dr/internal/operate"
)

// deployedStack is a stack as CloudFormation has it.
type deployedStack struct {
	// resources are those that exist, by logical id.
	resources map[string]deployedResource
}

type deployedResource struct{ kind, physicalID string }

// isNamed reports whether a physical id is a name, or an ARN or address that ends with it.
func (d deployedResource) isNamed(name string) bool {
	return d.physicalID == name || strings.HasSuffix(d.physicalID, "/"+name) || strings.HasSuffix(d.physicalID, ":"+name)
}

// deploymentChecks read the bootstrap stacks' versions, and the state and resources of the stacks, which all other checks need.
func (c *check) deploymentChecks() []func(context.Context) {
	var checks []func(context.Context)
	bootstrapped := map[string]bool{}
	for _, stack := range c.assembly.Stacks {
		if !bootstrapped[stack.Region] {
			bootstrapped[stack.Region] = true
			checks = append(checks, func(ctx context.Context) { c.checkBootstrap(ctx, stack) })
		}
		checks = append(checks, func(ctx context.Context) { c.checkStack(ctx, stack.Name, stack.Region) })
	}
	return checks
}

// StackStatus is CloudFormation's status of a stack, or nothing if the stack does not exist.
func StackStatus(ctx context.Context, config aws.Config, region, name string) (string, error) {
	config = operate.Within(config, callTimeout)
	config.Region = region
	answer, err := cloudformation.NewFromConfig(config).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if absent(err) || err == nil && len(answer.Stacks) == 0 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read state of stack %s: %w", name, err)
	}
	return string(answer.Stacks[0].StackStatus), nil
}

// DeployedTemplate is the template that a stack was deployed with, or nothing if the stack does not exist.
func DeployedTemplate(ctx context.Context, config aws.Config, region, name string) (string, error) {
	config = operate.Within(config, callTimeout)
	config.Region = region
	answer, err := cloudformation.NewFromConfig(config).GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: &name, TemplateStage: cloudformationtypes.TemplateStageOriginal})
	if absent(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read template of stack %s: %w", name, err)
	}
	return aws.ToString(answer.TemplateBody), nil
}

func (c *check) checkStack(ctx context.Context, name, region string) {
	client := c.clients(region).cloudformation
	answer, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if absent(err) || err == nil && len(answer.Stacks) == 0 {
		return
	}
	if err != nil {
		c.unknown(region, "the state of stack "+name+" cannot be read", err)
		return
	}
	found := deployedStack{resources: map[string]deployedResource{}}
	pages := cloudformation.NewListStackResourcesPaginator(client, &cloudformation.ListStackResourcesInput{StackName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			c.unknown(region, "the resources of stack "+name+" cannot be read", err)
			return
		}
		for _, r := range page.StackResourceSummaries {
			// A resource whose creation has failed may be somebody else's of the same name.
			if id := aws.ToString(r.PhysicalResourceId); id != "" && r.ResourceStatus != cloudformationtypes.ResourceStatusDeleteComplete &&
				r.ResourceStatus != cloudformationtypes.ResourceStatusDeleteSkipped && r.ResourceStatus != cloudformationtypes.ResourceStatusCreateFailed {
				found.resources[aws.ToString(r.LogicalResourceId)] = deployedResource{aws.ToString(r.ResourceType), id}
			}
		}
	}
	c.mu.Lock()
	c.deployed[name] = found
	c.mu.Unlock()
	c.judgeStack(answer.Stacks[0], name, region)
}

// judgeStack adds what a stack's state means for the next deployment. The statuses are CloudFormation's ("Understand CloudFormation
// stack creation events", AWS CloudFormation User Guide); what the CDK CLI does with each is in its deployStack.
func (c *check) judgeStack(stack cloudformationtypes.Stack, name, region string) {
	status := string(stack.StackStatus)
	f := Finding{Region: region, Found: "stack " + name + " is in the state " + status}
	events := fmt.Sprintf("aws cloudformation describe-stack-events --region %s --stack-name %s", region, name)
	protected := aws.ToBool(stack.EnableTerminationProtection)
	switch {
	case status == "REVIEW_IN_PROGRESS":
		return // an empty stack with a change set, which the CDK uses
	case strings.HasSuffix(status, "_IN_PROGRESS"):
		f.Level, f.Why, f.Fix = Blocks, "CloudFormation works on one change of a stack at a time.", "wait until it has ended: "+events
	case status == "ROLLBACK_COMPLETE" || status == "ROLLBACK_FAILED":
		f.Level, f.Why = Warns, "Its creation failed and was rolled back. The CDK deletes the stack and creates it again."
		if protected {
			f.Level, f.Why = Blocks, f.Why+" Termination protection forbids that."
			f.Fix = fmt.Sprintf("aws cloudformation update-termination-protection --region %s --stack-name %s --no-enable-termination-protection", region, name)
		}
		if status == "ROLLBACK_FAILED" {
			f.Fix = strings.TrimPrefix(f.Fix+"\n"+"find what could not be deleted, and turn off its deletion protection: "+events, "\n")
		}
	case status == "DELETE_FAILED":
		f.Level, f.Why = Blocks, "A part of the stack was not deleted. CloudFormation cannot update the stack."
		f.Fix = fmt.Sprintf("find out why: %s\nthen delete it again: aws cloudformation delete-stack --region %s --stack-name %s", events, region, name)
	case status == "UPDATE_ROLLBACK_FAILED":
		f.Level, f.Why = Blocks, "A rollback did not end. CloudFormation cannot update the stack."
		f.Fix = "npx cdk rollback --app cdk.out " + name
	case status == "CREATE_FAILED" || status == "UPDATE_FAILED":
		f.Level, f.Why = Warns, "A deployment without rollback failed. make deploy continues it: it creates what is missing."
		f.Fix = "if you have not removed the cause yet, find it: " + events
	default:
		return
	}
	c.add(f)
}
