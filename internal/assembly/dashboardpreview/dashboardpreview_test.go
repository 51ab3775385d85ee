package dashboardpreview_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"payments-dr/internal/assembly/dashboard"
	"payments-dr/internal/assembly/dashboardpreview"
)

var body = dashboard.Body{Widgets: []dashboard.Widget{
	{Width: 24, Height: 2, Text: &dashboard.Text{Markdown: "# Payments & more\nSee [the alarms](docs/alarms.md#x)."}},
	{Y: 2, Width: 12, Height: 6, Metrics: &dashboard.Metrics{
		Title: "Latency <p99>", View: dashboard.TimeSeries, Region: "us-east-1",
		Metrics:     []dashboard.Series{{Namespace: "AWS/ApiGateway", Name: "Latency", Options: dashboard.Options{Label: "p99"}}},
		Annotations: &dashboard.Annotations{Horizontal: []dashboard.Line{{Label: "RPO 5 min", Value: 300}}},
	}},
	{X: 12, Y: 2, Width: 12, Height: 6, Metrics: &dashboard.Metrics{
		Title: "Role", View: dashboard.SingleValue, Metrics: []dashboard.Series{{Namespace: "n", Name: "m", Options: dashboard.Options{Label: "reader"}}},
	}},
	{Y: 8, Width: 24, Height: 4, Alarms: &dashboard.Alarms{Title: "Alarms", Alarms: []string{"arn:aws:cloudwatch:us-east-1:000000000000:alarm:payment-dev-api-errors"}}},
}}

func TestDrawIsAnImageOfEveryWidgetAndSaysWhatIsMadeUp(t *testing.T) {
	drawn := dashboardpreview.Draw("payment-dev", body)
	decoder, texts := xml.NewDecoder(bytes.NewReader(drawn)), []string{}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := token.(xml.CharData); ok && strings.TrimSpace(string(data)) != "" {
			texts = append(texts, string(data))
		}
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{"payment-dev", "Payments & more", "See the alarms.", "Latency <p99>", "p99", "RPO 5 min", "Role", "reader", "Alarms", "api-errors"} {
		if !strings.Contains(all, want) {
			t.Errorf("the image does not say %q", want)
		}
	}
	if n := strings.Count(all, "SAMPLE DATA"); n != 3 {
		t.Errorf("%d widgets say that their data are samples, want 3", n)
	}
	if !bytes.Equal(drawn, dashboardpreview.Draw("payment-dev", body)) {
		t.Error("drawn twice, it is not the same")
	}
}
