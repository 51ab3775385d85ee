package dashboard_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"payments-dr/internal/assembly/dashboard"
)

func TestBodyIsAsCloudWatchReadsIt(t *testing.T) {
	body := dashboard.Body{Start: "-PT3H", PeriodOverride: "inherit", Widgets: []dashboard.Widget{
		{Width: 24, Height: 1, Text: &dashboard.Text{Markdown: "## x"}},
		{X: 12, Y: 1, Width: 12, Height: 6, Metrics: &dashboard.Metrics{
			Title: "t", View: dashboard.TimeSeries, Region: "us-east-1", Period: 60,
			Metrics: []dashboard.Series{
				{Namespace: "AWS/SQS", Name: "N", Dimensions: []dashboard.Dimension{{Name: "QueueName", Value: "q"}}, Options: dashboard.Options{Stat: "Sum", Label: "l"}},
				{Options: dashboard.Options{Expression: "SELECT 1", ID: "q0"}},
			},
			Annotations: &dashboard.Annotations{Horizontal: []dashboard.Line{{Label: "a", Value: 1}}},
		}},
		{Y: 7, Width: 24, Height: 2, Alarms: &dashboard.Alarms{Title: "a", Alarms: []string{"arn"}}},
	}}
	const want = `{"start":"-PT3H","periodOverride":"inherit","widgets":[` +
		`{"type":"text","x":0,"y":0,"width":24,"height":1,"properties":{"markdown":"## x"}},` +
		`{"type":"metric","x":12,"y":1,"width":12,"height":6,"properties":{"title":"t","view":"timeSeries","region":"us-east-1","period":60,` +
		`"metrics":[["AWS/SQS","N","QueueName","q",{"label":"l","stat":"Sum"}],[{"expression":"SELECT 1","id":"q0"}]],` +
		`"annotations":{"horizontal":[{"label":"a","value":1}]}}},` +
		`{"type":"alarm","x":0,"y":7,"width":24,"height":2,"properties":{"title":"a","alarms":["arn"]}}]}`
	written, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != want {
		t.Errorf("written\n%s\nwant\n%s", written, want)
	}
	var read dashboard.Body
	if err := json.Unmarshal(written, &read); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, body) {
		t.Errorf("read %+v", read)
	}
}

func TestBodyRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, body := range []string{
		`{"widgets":[{"type":"log","properties":{}}]}`,
		`{"widgets":[{"type":"metric","properties":{"metrics":[[]]}}]}`,
		`{"widgets":[{"type":"metric","properties":{"metrics":[["AWS/SQS","N","QueueName",{}]]}}]}`,
		`{"widgets":[{"type":"metric","properties":{"metrics":[["AWS/SQS",1,{}]]}}]}`,
	} {
		var read dashboard.Body
		if err := json.Unmarshal([]byte(body), &read); err == nil {
			t.Errorf("%s is read as %+v", body, read)
		}
	}
	if _, err := json.Marshal(dashboard.Widget{}); err == nil {
		t.Error("a widget that shows nothing is written")
	}
}
