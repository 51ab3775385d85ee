package constructs_test

import (
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/internal/settings"
	"payments-dr/stacks/stackstest"
)

func TestRecoveryReportsAreKeptAYear(t *testing.T) {
	inGlobal(t, func(t *testing.T, v stackstest.View, s settings.Settings) {
		id, bucket := v.One(t, "AWS::S3::Bucket")
		p := bucket.Properties
		stackstest.Same(t, "encrypted", p["BucketEncryption"], map[string]any{"ServerSideEncryptionConfiguration": []any{
			map[string]any{"ServerSideEncryptionByDefault": map[string]any{"SSEAlgorithm": "AES256"}},
		}})
		stackstest.Same(t, "versioned", p["VersioningConfiguration"], map[string]any{"Status": "Enabled"})
		stackstest.Same(t, "public access", p["PublicAccessBlockConfiguration"], map[string]any{
			"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
		})
		rule := assembly.Object(assembly.List(assembly.At(p["LifecycleConfiguration"], "Rules"))[0])
		stackstest.Same(t, "kept", []any{rule["Status"], rule["ExpirationInDays"], assembly.At(rule["NoncurrentVersionExpiration"], "NoncurrentDays")}, []any{"Enabled", 365, 365})
		stackstest.Same(t, "when the stack goes", bucket.DeletionPolicy, "RetainExceptOnCreate")
		_, plan := v.One(t, "AWS::ARCRegionSwitch::Plan")
		stackstest.Same(t, "the plan reports to", plan.Properties["ReportConfiguration"], map[string]any{"ReportOutput": []any{
			map[string]any{"S3Configuration": map[string]any{"BucketPath": stackstest.Ref(id), "BucketOwner": s.Account}},
		}})
	})
}
