package cluster

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/kubernetes"
)

// Metrics are the counters and gauges of one component at one moment, by name.
type Metrics map[string][]sample

type sample struct {
	labels map[string]string
	value  float64
}

// ReadMetrics scrapes an API server's /metrics.
func ReadMetrics(ctx context.Context, client kubernetes.Interface) (Metrics, error) {
	body, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("scrape /metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("parse /metrics: %w", err)
	}
	metrics := Metrics{}
	for name, family := range families {
		for _, metric := range family.Metric {
			labels := map[string]string{}
			for _, label := range metric.Label {
				labels[label.GetName()] = label.GetValue()
			}
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			metrics[name] = append(metrics[name], sample{labels, value})
		}
	}
	return metrics, nil
}

// Sum adds up the samples of a metric that carry all the given labels.
func (m Metrics) Sum(name string, labels map[string]string) float64 {
	var sum float64
	for _, sample := range m[name] {
		if sample.has(labels) {
			sum += sample.value
		}
	}
	return sum
}

// By adds up the samples of a metric by the value of one label.
func (m Metrics) By(name, label string) map[string]float64 {
	sums := map[string]float64{}
	for _, sample := range m[name] {
		sums[sample.labels[label]] += sample.value
	}
	return sums
}

// Describe lists the samples that carry all the given labels and are not 0.
func (m Metrics) Describe(name string, labels map[string]string) string {
	var lines strings.Builder
	for _, sample := range m[name] {
		if sample.has(labels) && sample.value != 0 {
			fmt.Fprintf(&lines, "%s%v %v\n", name, sample.labels, sample.value)
		}
	}
	return lines.String()
}

func (s sample) has(labels map[string]string) bool {
	for label, value := range labels {
		if s.labels[label] != value {
			return false
		}
	}
	return true
}
