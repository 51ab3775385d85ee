package canary

// The environment variables that tell the canary function what to ask. Its own Region is Lambda's to tell, and the namespace of
// its metrics is telemetry.NamespaceVariable.
const (
	VariableAPIName      = "API_NAME"
	VariableOtherRegion  = "OTHER_REGION"
	VariableOtherAPIName = "OTHER_REGION_API_NAME"
)
