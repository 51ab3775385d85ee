// Package dashboard is the body of a CloudWatch dashboard, as "Dashboard Body Structure and Syntax" (Amazon CloudWatch API Reference)
// has it: the part of it that this platform uses. The app writes it, the preview draws it, and tests read it.
package dashboard

import (
	"encoding/json"
	"fmt"
)

// Columns is how many units a dashboard is wide.
const Columns = 24

// Body is a dashboard.
type Body struct {
	// Start is how far back the graphs go at first, as a duration of ISO 8601 such as -PT3H.
	Start string `json:"start"`
	// PeriodOverride "inherit" keeps the periods of the graphs whatever time they are over.
	PeriodOverride string   `json:"periodOverride"`
	Widgets        []Widget `json:"widgets"`
}

// Widget is one rectangle of a dashboard, by its upper left corner. One of Text, Metrics and Alarms is set.
type Widget struct {
	X, Y, Width, Height int
	Text                *Text
	Metrics             *Metrics
	Alarms              *Alarms
}

// Text is Markdown.
type Text struct {
	Markdown string `json:"markdown"`
}

// The views of Metrics.
const (
	TimeSeries  = "timeSeries"
	SingleValue = "singleValue"
)

// Metrics is a graph, or the latest values as numbers.
type Metrics struct {
	Title string `json:"title"`
	View  string `json:"view"`
	// Region is where the metrics are; a dashboard shows those of any Region.
	Region string `json:"region"`
	// Stat and Period are those of every series that has none of its own.
	Stat        string       `json:"stat,omitempty"`
	Period      int          `json:"period"`
	Metrics     []Series     `json:"metrics"`
	Annotations *Annotations `json:"annotations,omitempty"`
	YAxis       *YAxis       `json:"yAxis,omitempty"`
}

// Annotations are lines across a graph.
type Annotations struct {
	Horizontal []Line `json:"horizontal"`
}

// Line is a level with a name.
type Line struct {
	Label string  `json:"label"`
	Value float64 `json:"value"`
	Color string  `json:"color,omitempty"`
}

// YAxis is how the values are shown.
type YAxis struct {
	Left *Axis `json:"left,omitempty"`
}

// Axis begins at Min.
type Axis struct {
	Min   float64 `json:"min"`
	Label string  `json:"label,omitempty"`
	// ShowUnits is false where Label says it.
	ShowUnits bool `json:"showUnits"`
}

// Alarms shows the states of alarms, by their ARNs: 1 to 100.
type Alarms struct {
	Title  string   `json:"title"`
	Alarms []string `json:"alarms"`
	// SortBy puts those in alarm first if it is StateFirst.
	SortBy string `json:"sortBy,omitempty"`
}

// StateFirst sorts alarms by their state, and then by when it last changed.
const StateFirst = "stateUpdatedTimestamp"

// Series is a metric with its dimensions, or an expression.
type Series struct {
	Namespace, Name string
	Dimensions      []Dimension
	Options         Options
}

// Dimension is one dimension of a metric.
type Dimension struct{ Name, Value string }

// Options are how a series is shown.
type Options struct {
	// Expression stands instead of a metric, and needs an ID.
	Expression string `json:"expression,omitempty"`
	ID         string `json:"id,omitempty"`
	Label      string `json:"label,omitempty"`
	Stat       string `json:"stat,omitempty"`
	Color      string `json:"color,omitempty"`
}

// The types of widgets.
const (
	typeText   = "text"
	typeMetric = "metric"
	typeAlarm  = "alarm"
)

type widgetJSON struct {
	Type       string `json:"type"`
	X          int    `json:"x"`
	Y          int    `json:"y"`
	Width      int    `json:"width"`
	Height     int    `json:"height"`
	Properties any    `json:"properties"`
}

// MarshalJSON writes a widget.
func (w Widget) MarshalJSON() ([]byte, error) {
	written := widgetJSON{X: w.X, Y: w.Y, Width: w.Width, Height: w.Height}
	switch {
	case w.Text != nil:
		written.Type, written.Properties = typeText, w.Text
	case w.Metrics != nil:
		written.Type, written.Properties = typeMetric, w.Metrics
	case w.Alarms != nil:
		written.Type, written.Properties = typeAlarm, w.Alarms
	default:
		return nil, fmt.Errorf("widget at %d, %d shows nothing", w.X, w.Y)
	}
	return json.Marshal(written)
}

// UnmarshalJSON reads a widget.
func (w *Widget) UnmarshalJSON(data []byte) error {
	var properties json.RawMessage
	read := widgetJSON{Properties: &properties}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	*w = Widget{X: read.X, Y: read.Y, Width: read.Width, Height: read.Height}
	switch read.Type {
	case typeText:
		w.Text = &Text{}
		return json.Unmarshal(properties, w.Text)
	case typeMetric:
		w.Metrics = &Metrics{}
		return json.Unmarshal(properties, w.Metrics)
	case typeAlarm:
		w.Alarms = &Alarms{}
		return json.Unmarshal(properties, w.Alarms)
	}
	return fmt.Errorf("widget of type %q", read.Type)
}

// MarshalJSON writes a series as the list that it is: namespace, name, dimensions' names and values, options.
func (s Series) MarshalJSON() ([]byte, error) {
	if s.Options.Expression != "" {
		return json.Marshal([]any{s.Options})
	}
	all := []any{s.Namespace, s.Name}
	for _, d := range s.Dimensions {
		all = append(all, d.Name, d.Value)
	}
	return json.Marshal(append(all, s.Options))
}

// UnmarshalJSON reads a series that MarshalJSON wrote.
func (s *Series) UnmarshalJSON(data []byte) error {
	var all []json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("a series of nothing")
	}
	*s = Series{}
	if err := json.Unmarshal(all[len(all)-1], &s.Options); err != nil {
		return err
	}
	if len(all) == 1 {
		return nil
	}
	names := make([]string, len(all)-1)
	for i := range names {
		if err := json.Unmarshal(all[i], &names[i]); err != nil {
			return err
		}
	}
	if len(names)%2 != 0 {
		return fmt.Errorf("a dimension of %s has no value", names[1])
	}
	s.Namespace, s.Name = names[0], names[1]
	for i := 2; i < len(names); i += 2 {
		s.Dimensions = append(s.Dimensions, Dimension{names[i], names[i+1]})
	}
	return nil
}
