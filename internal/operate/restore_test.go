package operate

import (
	"strings"
	"testing"

	"payments-dr/internal/payment/compare"
)

func TestComparingNothingIsNotTheSame(t *testing.T) {
	report := func(table string, live, copied int64) compare.Report {
		return compare.Report{Table: table, Complete: true, LeftRows: live, RightRows: copied, OnlyLeft: live - copied}
	}
	versions := report("schema_versions", 2, 2)
	for name, tt := range map[string]struct {
		ledger, sessions  compare.Report
		same, different   bool
		nothing, database string
	}{
		"the same":           {report("payments", 5, 5), report("sessions", 1, 1), true, false, "", "payments             the same; 5 live"},
		"no payment at all":  {report("payments", 0, 0), report("sessions", 0, 0), false, false, "the database, the table", "payments             NOTHING COMPARED; 0 live"},
		"none of the window": {report("payments", 5, 5), report("sessions", 0, 0), false, false, "the table", "payments             the same; 5 live"},
		"none in the ledger": {report("payments", 0, 0), report("sessions", 1, 1), false, false, "the database", "payments             NOTHING COMPARED; 0 live"},
		"broken off":         {compare.Report{Table: "payments", LeftRows: 5, RightRows: 3}, report("sessions", 1, 1), false, false, "", "payments             NOT COMPARED to the end"},
		"found, broken off":  {compare.Report{Table: "payments", OnlyLeft: 1}, report("sessions", 1, 1), false, true, "", "payments             NOT COMPARED to the end"},
		"an empty copy":      {report("payments", 5, 0), report("sessions", 0, 0), false, true, "the table", "payments             DIFFERENT: 0 in the copy alone, 5 live alone"},
	} {
		compared := Compared{Databases: []compare.Report{tt.ledger, versions}, Sessions: &tt.sessions}
		if !tt.ledger.Complete {
			compared.DatabaseProblem = &Problem{KindUnreachable, "the connection was broken off"}
		}
		if nothing := strings.Join(compared.Nothing(), ", "); compared.Same() != tt.same || compared.Different() != tt.different || nothing != tt.nothing {
			t.Errorf("%s: same %v, different %v, nothing of %q", name, compared.Same(), compared.Different(), nothing)
		}
		var out strings.Builder
		compared.Write(&out)
		if !strings.Contains(out.String(), tt.database) || strings.Contains(out.String(), "schema_versions      NOTHING") {
			t.Errorf("%s:\n%s", name, &out)
		}
	}
}
