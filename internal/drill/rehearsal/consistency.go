package rehearsal

import (
	"cmp"
	"context"
	"fmt"

	"payments-dr/internal/assembly"
	"payments-dr/internal/payment"
	"payments-dr/internal/settings"
)

// consistencies are the modes as a template names them. A table whose template names none is eventually consistent
// ("AWS::DynamoDB::GlobalTable", AWS CloudFormation Template Reference).
var consistencies = map[string]settings.Consistency{"EVENTUAL": settings.ConsistencyEventual, "STRONG": settings.ConsistencyStrong}

// TableConsistency is the mode of the session table by its template, which is what would be deployed. It is an error if the
// settings name another: one of the two would be believed wrongly.
func TableConsistency(a *assembly.Assembly) (settings.Consistency, error) {
	primary, err := a.Stack(string(settings.RolePrimary))
	if err != nil {
		return "", err
	}
	table, err := only(primary, "AWS::DynamoDB::GlobalTable")
	if err != nil {
		return "", err
	}
	written, _ := table.Properties["MultiRegionConsistency"].(string)
	mode, known := consistencies[cmp.Or(written, "EVENTUAL")]
	if !known {
		return "", fmt.Errorf("the session table has the consistency %q in its template; allowed is EVENTUAL or STRONG", written)
	}
	if claimed := a.Settings.Session.Consistency; claimed != mode {
		return "", fmt.Errorf("session.consistency is %q, and in its template the session table is of %s consistency", claimed, mode)
	}
	return mode, nil
}

// Absent are those of some payments that a Region's replica does not have now. What was acknowledged and is absent from the
// replica that survives is lost for as long as the other Region is.
func (p *Platform) Absent(ctx context.Context, region string, some []payment.Identity) ([]payment.Identity, error) {
	payments, err := scan(ctx, p.ItemsOf(region), p.settings)
	if err != nil {
		return nil, fmt.Errorf("read table of %s: %w", region, err)
	}
	there := map[payment.Identity]bool{}
	for _, one := range payments {
		there[one.Identity] = true
	}
	var absent []payment.Identity
	for _, one := range some {
		if !there[one] {
			absent = append(absent, one)
		}
	}
	return absent, nil
}
