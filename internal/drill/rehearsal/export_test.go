package rehearsal

import (
	"payments-dr/internal/assembly"
)

// What tests break, and look at beside the verdict.
var (
	ReadRows = readRows
	Absence  = absence
)

// Broken are the faults of the platform's relays.
func (p *Platform) Broken() []string { return p.relays.faults() }

// Bus is the name of the Region's bus.
func (r *Region) Bus() string {
	bus, _ := only(r.stack, "AWS::Events::EventBus")
	name, _ := bus.Properties["Name"].(string)
	return name
}

// SharesOf are the Regions' server errors, of which there are none.
func SharesOf(a *assembly.Assembly) (map[string]*errorShare, error) {
	shares := map[string]*errorShare{}
	for _, role := range []string{"primary", "secondary"} {
		stack, err := a.Stack(role)
		if err != nil {
			return nil, err
		}
		share, err := readErrorShare(stack, "payment-"+a.Settings.Environment+"-api-failing")
		if err != nil {
			return nil, err
		}
		shares[stack.Region] = share
	}
	return shares, nil
}
