package constructs_test

import (
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly"
	"payments-dr/stacks"
	"payments-dr/stacks/stackstest"
)

func TestPublicZoneIsMadeWhenThereIsNone(t *testing.T) {
	for _, env := range stackstest.Environments {
		made := 0
		for _, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
			v := stackstest.ViewOf(t, env, role)
			for _, zone := range v.Of("AWS::Route53::HostedZone") {
				made++
				stackstest.Same(t, env+": name", zone.Properties["Name"], v.Assembly.Settings.DNS.ZoneName+".")
				// Enabling it would lock the zone while the certificates need records.
				stackstest.Same(t, env+": features", zone.Properties["HostedZoneFeatures"], nil)
				stackstest.Same(t, env+": when its stack goes", zone.DeletionPolicy, "Retain")
				if !strings.Contains(stackstest.Text(v.Stack.Template.Outputs["NameServers"]), "NameServers") {
					t.Errorf("%s: the name servers are no output", env)
				}
			}
		}
		want := 1
		if stackstest.Assembly(t, env).Settings.DNS.HostedZoneID != "" {
			want = 0
		}
		if made != want {
			t.Errorf("%s: %d hosted zones, want %d", env, made, want)
		}
	}
}

// A zone rejects records while accelerated recovery is being enabled, so that comes after everything that writes records: all of the
// first two stacks, and each set of records of the last one.
func TestAcceleratedRecoveryIsTheLastStep(t *testing.T) {
	for _, env := range stackstest.Environments {
		for _, role := range []string{stacks.RolePrimary, stacks.RoleSecondary, stacks.RoleGlobal} {
			v := stackstest.ViewOf(t, env, role)
			steps := v.Of("Custom::AcceleratedRecovery")
			want := 0
			if role == stacks.RoleGlobal && stackstest.Assembly(t, env).Settings.DNS.HostedZoneID == "" {
				want = 1
			}
			if len(steps) != want {
				t.Errorf("%s, %s: %d steps enable accelerated recovery, want %d", env, role, len(steps), want)
			}
			for _, step := range steps {
				if call := strings.ReplaceAll(stackstest.Text(step.Properties["Update"]), `\`, ""); !strings.Contains(call, `"action":"UpdateHostedZoneFeatures"`) || !strings.Contains(call, `"EnableAcceleratedRecovery":true`) {
					t.Errorf("%s: it calls %s", env, call)
				}
				after := assembly.Texts(step.DependsOn)
				for id := range v.Of("AWS::Route53::RecordSetGroup") {
					if !slices.Contains(after, id) {
						t.Errorf("%s: accelerated recovery does not wait for %s", env, id)
					}
				}
			}
		}
	}
}
