package cost_test

import (
	"slices"
	"strings"
	"testing"

	"payments-dr/internal/assembly/cost"
	"payments-dr/stacks/stackstest"
)

// docs/use/cost.md has a row for every resource type with a price or without.
func TestEveryTypeOfCostIsDocumented(t *testing.T) {
	document := stackstest.File(t, "docs/use/cost.md")
	for _, types := range []map[string]string{cost.Priced, cost.Free} {
		for kind, why := range types {
			if row := "| `" + kind + "` | " + why + " |\n"; !strings.Contains(document, row) {
				t.Errorf("docs/use/cost.md has no row %s", row)
			}
		}
	}
}

func TestEveryResourceIsPricedOrKnownToBeFree(t *testing.T) {
	found := map[string]bool{"AWS::CDK::Metadata": true} // the CDK's command adds it, and no test runs that
	for env, a := range stackstest.Assemblies(t) {
		for _, stack := range a.Stacks {
			for id, resource := range stack.Template.Resources {
				_, priced := cost.Priced[resource.Type]
				_, free := cost.Free[resource.Type]
				if priced == free {
					t.Errorf("%s: %s of %s: %s is priced %v and free %v: want one of them", env, id, stack.Name, resource.Type, priced, free)
				}
				found[resource.Type] = true
			}
		}
	}
	for _, types := range []map[string]string{cost.Priced, cost.Free} {
		for kind := range types {
			if !found[kind] {
				t.Errorf("%s is in a table and in no template", kind)
			}
		}
	}
	for _, env := range stackstest.Shipped {
		if report, _ := stackstest.CostOf(t, env); len(report.NotPriced) > 0 {
			t.Errorf("%s: not priced: %v", env, report.NotPriced)
		}
	}
}

// TestEveryPriceIsUsed lets no price grow old unseen. Those of instances are there for the settings to choose among, and those of
// interface endpoints for a network without NAT gateways.
func TestEveryPriceIsUsed(t *testing.T) {
	used := map[string]bool{"vpc.interface-endpoint": true}
	for _, env := range stackstest.Shipped {
		report, _ := stackstest.CostOf(t, env)
		for _, row := range slices.Concat(report.Idle, report.Million) {
			used[row.Price] = true
		}
	}
	prices, err := cost.Published()
	if err != nil {
		t.Fatal(err)
	}
	for _, price := range prices.Prices {
		if !used[price.Key] && !strings.HasPrefix(price.Key, "aurora.instance.") {
			t.Errorf("nothing costs %s", price.Key)
		}
	}
}

func TestInstanceClassChangesTheInstancesAlone(t *testing.T) {
	before, _ := stackstest.CostOf(t, stackstest.Prod)
	a := stackstest.Copy(t, stackstest.Prod)
	for _, stack := range a.Stacks {
		for _, resource := range stack.Template.Resources {
			if resource.Type == "AWS::RDS::DBInstance" {
				resource.Properties["DBInstanceClass"] = "db.r5.xlarge"
			}
		}
	}
	after, err := cost.Of(a, cost.DefaultUsage())
	if err != nil {
		t.Fatal(err)
	}
	rest := func(rows []cost.Row) (others []cost.Row, instances cost.Decimal) {
		for _, row := range rows {
			if strings.HasPrefix(row.What, "instances db.") {
				instances = instances.Plus(row.USD)
			} else {
				others = append(others, row)
			}
		}
		return others, instances
	}
	rows, was := rest(before.Idle)
	others, is := rest(after.Idle)
	if was.Sign() <= 0 || is.Cmp(was.Plus(was)) != 0 {
		t.Errorf("instances of twice the size cost %s, and were %s", is.Text(2), was.Text(2))
	}
	if !slices.EqualFunc(rows, others, func(x, y cost.Row) bool {
		return x.What == y.What && x.Region == y.Region && x.USD.Cmp(y.USD) == 0
	}) {
		t.Error("other rows have changed")
	}
}

func TestCostOfARegionWithoutPricesIsAnError(t *testing.T) {
	_, err := cost.Make(stackstest.Assembly(t, stackstest.Europe), cost.DefaultUsage())
	if err == nil {
		t.Fatal("Regions of Europe have prices")
	}
	for _, region := range []string{"eu-west-1", "eu-central-1"} {
		if !strings.Contains(err.Error(), "there are no prices for "+region+", only for us-east-1 and us-west-2") {
			t.Errorf("%s: %v", region, err)
		}
	}
}
