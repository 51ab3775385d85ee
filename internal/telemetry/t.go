package telemetry

const NamespaceVariable = "METRICS_NAMESPACE"
