package rehearsal

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
	"payments-dr/internal/simulation"
)

// newAPI is the API of a Region's template: its routes, what they want for a signature, and the answers that it makes itself.
func newAPI(stack assembly.Stack, s settings.Settings, config simulation.APIConfig) (*simulation.API, error) {
	stage, err := only(stack, "AWS::ApiGateway::Stage")
	if err != nil {
		return nil, err
	}
	domain, err := only(stack, "AWS::ApiGateway::DomainName")
	if err != nil {
		return nil, err
	}
	config.Stage, _ = stage.Properties["StageName"].(string)
	config.DomainName, _ = domain.Properties["DomainName"].(string)
	if config.DomainName != s.APIName() {
		return nil, fmt.Errorf("the API of %s answers to %q", stack.Region, config.DomainName)
	}
	paths, err := resourcePaths(stack)
	if err != nil {
		return nil, err
	}
	config.Responses = map[string]simulation.GatewayResponse{}
	for id, resource := range stack.Template.Resources {
		switch resource.Type {
		case "AWS::ApiGateway::Method":
			var method struct{ HttpMethod, AuthorizationType string }
			if err := convert(resource.Properties, &method); err != nil {
				return nil, fmt.Errorf("read %s: %w", id, err)
			}
			path, ok := paths[assembly.Referred(resource.Properties["ResourceId"])]
			if !ok {
				path = "/" // the root is an attribute of the API
			}
			if method.AuthorizationType != "AWS_IAM" && method.AuthorizationType != "NONE" {
				return nil, fmt.Errorf("method %s of %s has the authorization %s, which is not simulated", method.HttpMethod, path, method.AuthorizationType)
			}
			config.Routes = append(config.Routes, simulation.Route{Path: path, Method: method.HttpMethod, Signed: method.AuthorizationType == "AWS_IAM"})
		case "AWS::ApiGateway::GatewayResponse":
			var response struct {
				ResponseType, StatusCode              string
				ResponseParameters, ResponseTemplates map[string]string
			}
			if err := convert(resource.Properties, &response); err != nil {
				return nil, fmt.Errorf("read %s: %w", id, err)
			}
			status, _ := strconv.Atoi(response.StatusCode)
			headers := map[string]string{}
			for name, value := range response.ResponseParameters {
				headers[strings.TrimPrefix(name, "gatewayresponse.header.")] = value
			}
			config.Responses[response.ResponseType] = simulation.GatewayResponse{Status: status, Headers: headers, Template: response.ResponseTemplates["application/json"]}
		}
	}
	if err := simulation.CheckRoutes(config.Routes); err != nil {
		return nil, err
	}
	return simulation.NewAPI(config), nil
}

// resourcePaths are the paths of an API's resources, by logical id.
func resourcePaths(stack assembly.Stack) (map[string]string, error) {
	paths := map[string]string{}
	var path func(id string, depth int) (string, error)
	path = func(id string, depth int) (string, error) {
		resource, ok := stack.Template.Resources[id]
		if !ok || resource.Type != "AWS::ApiGateway::Resource" {
			return "", nil // the API itself: the root
		}
		if depth > 16 {
			return "", errors.New("the API's resources go in a circle")
		}
		parent, err := path(assembly.Referred(resource.Properties["ParentId"]), depth+1)
		part, _ := resource.Properties["PathPart"].(string)
		return parent + "/" + part, err
	}
	for id, resource := range stack.Template.Resources {
		if resource.Type == "AWS::ApiGateway::Resource" {
			var err error
			if paths[id], err = path(id, 0); err != nil {
				return nil, err
			}
		}
	}
	return paths, nil
}

// errorShare simulates the metric 5XXError of an API and an alarm on it, as far as a health check follows one: all of the last
// periods breach. A period without requests has no data, which does not breach.
type errorShare struct {
	period    time.Duration
	periods   int
	threshold float64

	mu      sync.Mutex
	current [2]int // requests, server errors
	past    []bool // whether the last periods breached, the newest last
}

// readErrorShare reads the alarm that a health check follows.
func readErrorShare(stack assembly.Stack, alarm string) (*errorShare, error) {
	for id, resource := range stack.Template.Resources {
		if resource.Type != "AWS::CloudWatch::Alarm" || resource.Properties["AlarmName"] != alarm {
			continue
		}
		var a struct {
			Namespace, MetricName, Statistic, ComparisonOperator, TreatMissingData string
			Period, EvaluationPeriods                                              int
			Threshold                                                              float64
		}
		if err := convert(resource.Properties, &a); err != nil {
			return nil, fmt.Errorf("read %s: %w", id, err)
		}
		if a.Namespace+"/"+a.MetricName+"/"+a.Statistic != "AWS/ApiGateway/5XXError/Average" || a.ComparisonOperator != "GreaterThanOrEqualToThreshold" || a.TreatMissingData != "notBreaching" {
			return nil, fmt.Errorf("alarm %s is none that is simulated: %+v", alarm, a)
		}
		return &errorShare{period: time.Duration(a.Period) * time.Second, periods: a.EvaluationPeriods, threshold: a.Threshold}, nil
	}
	return nil, fmt.Errorf("there is no alarm %s in %s", alarm, stack.Name)
}

// count takes an answer of the API.
func (e *errorShare) count(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current[0]++
	if status >= http.StatusInternalServerError {
		e.current[1]++
	}
}

// end ends a period.
func (e *errorShare) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	breaches := e.current[0] > 0 && float64(e.current[1]) >= e.threshold*float64(e.current[0])
	e.past = append(e.past, breaches)
	if over := len(e.past) - e.periods; over > 0 {
		e.past = e.past[over:]
	}
	e.current = [2]int{}
}

// healthy is whether the alarm, as a health check sees it, is in order.
func (e *errorShare) healthy() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.past) < e.periods {
		return true
	}
	for _, breaches := range e.past {
		if !breaches {
			return true
		}
	}
	return false
}
