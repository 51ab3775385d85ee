package awswire

import (
	"net/http"
	"slices"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// Metric is what GetMetricData asks for: an expression, or a metric by its name and the value of its only dimension.
type Metric struct{ Expression, Name, Of string }

// WriteMetrics answers GetMetricData with the newest value of each metric, at the minute's begin.
func WriteMetrics(w http.ResponseWriter, asked cbor.Map, newest func(Metric) (value float64, at time.Time, ok bool)) {
	queries, _ := asked["MetricDataQueries"].(cbor.List)
	results := cbor.List{}
	for _, q := range queries {
		query, _ := q.(cbor.Map)
		stat, _ := query["MetricStat"].(cbor.Map)
		of, _ := stat["Metric"].(cbor.Map)
		metric := Metric{Expression: text(query, "Expression"), Name: text(of, "MetricName")}
		if dimensions, _ := of["Dimensions"].(cbor.List); len(dimensions) == 1 {
			dimension, _ := dimensions[0].(cbor.Map)
			metric.Of = text(dimension, "Value")
		}
		times, values := cbor.List{}, cbor.List{}
		if value, at, ok := newest(metric); ok {
			times, values = append(times, moment(at.Truncate(time.Minute))), append(values, cbor.Float64(value))
		}
		results = append(results, cbor.Map{"Id": query["Id"], "Label": query["Id"], "StatusCode": cbor.String("Complete"), "Timestamps": times, "Values": values})
	}
	WriteCBOR(w, http.StatusOK, cbor.Map{"MetricDataResults": results})
}

// Alarm is an alarm that is raised.
type Alarm struct {
	Name      string
	Composite bool
	Actions   []string
	Since     time.Time
}

// WriteAlarms answers DescribeAlarms. It tells of composite alarms only whoever asks for that type.
func WriteAlarms(w http.ResponseWriter, asked cbor.Map, raised []Alarm) {
	types, _ := asked["AlarmTypes"].(cbor.List)
	metric, composite := cbor.List{}, cbor.List{}
	for _, alarm := range raised {
		actions := cbor.List{}
		for _, action := range alarm.Actions {
			actions = append(actions, cbor.String(action))
		}
		one := cbor.Map{"AlarmName": cbor.String(alarm.Name), "StateValue": cbor.String("ALARM"), "StateUpdatedTimestamp": moment(alarm.Since), "AlarmActions": actions}
		if !alarm.Composite {
			metric = append(metric, one)
		} else if slices.Contains(types, cbor.Value(cbor.String("CompositeAlarm"))) {
			composite = append(composite, one)
		}
	}
	WriteCBOR(w, http.StatusOK, cbor.Map{"MetricAlarms": metric, "CompositeAlarms": composite})
}
