package drill

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// title is what an objective, or a list of payments, is called.
func title(name Name) string {
	switch name {
	case NamePaymentsRTO:
		return "RTO of payments"
	case NameLedgerRTO:
		return "RTO of the ledger"
	case NameRPO:
		return "RPO at promotion"
	case NameLost:
		return "Acknowledged payments lost"
	case NameMissing:
		return "Acknowledged payments missing in the ledger"
	case NameDoubled:
		return "Payments recorded twice"
	case NameDifferent:
		return "Payments recorded over other money"
	case NameUnexplained:
		return "Payments recorded that nobody can explain"
	case NameDisagreeing:
		return "Payments on which table and ledger disagree"
	case NameReconciliation:
		return "Wrong by the last reconciliation"
	case NameExplained:
		return "Payments recorded that failed for the client"
	case NameLate:
		return "Payments not in the ledger at its promotion"
	}
	return clientTitle(name)
}

// meaning is how a thing is measured, in a sentence or two. The definitions in full stand in the code, with what computes them.
func meaning(name Name, rule SustainedRule) string {
	span, success := spell(rule.For.Duration()), percent(rule.Success)
	switch name {
	case NamePaymentsRTO:
		return "The longest interruption: from the fault, or without one from the first failed attempt, to the answer that begins " + span +
			" in which at least " + success + " of attempts succeed."
	case NameLedgerRTO:
		return "From the fault to the first record of a payment accepted since then that begins " + span + " in which at least " + success +
			" is recorded within the RPO."
	case NameRPO:
		return "How long before the loss the oldest acknowledged payment was accepted that the promoted ledger did not have."
	case NameLost:
		return "Acknowledged to a client, and not in the table in the end."
	case NameMissing:
		return "Acknowledged to a client, and not in the ledger in the end."
	case NameDoubled:
		return "Records beyond the one that each payment may have: an identity twice, or two identities for one order."
	case NameDifferent:
		return "The table or the ledger has another amount or currency than the client has sent."
	case NameUnexplained:
		return "In the table or the ledger, acknowledged to nobody, and no failed request explains it."
	case NameDisagreeing:
		return "In one of the two only, or in both over different money, whether acknowledged or not."
	case NameReconciliation:
		return "What the last reconciliation has left missing, conflicting or unaccounted for."
	case NameExplained:
		return "No fault: the request failed for the client, who was told to ask again, and the payment had been accepted."
	case NameLate:
		return "Acknowledged before the loss and not in the promoted ledger. Queues and reconciliation bring them; what they did not bring is missing."
	}
	return clientMeaning(name)
}

// verdict is the whole in a sentence.
func (r Report) verdict() string {
	if len(r.Broken) > 0 {
		return "the platform is broken; " + r.judgement()
	}
	return r.judgement()
}

// judgement is what became of the objectives.
func (r Report) judgement() string {
	met, failed, unmeasured, judged := 0, 0, 0, 0
	for _, o := range r.Objectives {
		switch o.Status {
		case StatusPass:
			met++
		case StatusFail:
			failed++
		case StatusNotMeasured:
			unmeasured++
		default:
			continue
		}
		judged++
	}
	switch {
	case failed > 0 && unmeasured > 0:
		return fmt.Sprintf("%d of %d objectives missed, %d not measured", failed, judged, unmeasured)
	case failed > 0:
		return fmt.Sprintf("%d of %d objectives missed", failed, judged)
	case unmeasured > 0:
		return fmt.Sprintf("%d of %d objectives not measured, which is no pass", unmeasured, judged)
	case r.Status == StatusNotMeasured:
		return "the run ended early or observations are missing, which is no pass"
	}
	return fmt.Sprintf("all %d objectives met", met)
}

// word is a status as it is shown.
func (s Status) word() string { return strings.ToUpper(string(s)) }

// spell writes a duration: to the tenth of a second up to ten minutes, to the second beyond, and with the units that matter.
func spell(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	switch {
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return fmt.Sprintf("%s%d µs", sign, d.Microseconds())
	case d < 10*time.Millisecond:
		return sign + trim(float64(d)/float64(time.Millisecond), 1) + " ms"
	case d < time.Second-500*time.Microsecond:
		return fmt.Sprintf("%s%d ms", sign, d.Round(time.Millisecond).Milliseconds())
	}
	unit := 100 * time.Millisecond
	if d >= 10*time.Minute {
		unit = time.Second
	}
	d = d.Round(unit)
	var parts []string
	add := func(number, name string) {
		if number != "0" {
			parts = append(parts, number+" "+name)
		}
	}
	add(strconv.Itoa(int(d.Hours())), "h")
	add(strconv.Itoa(int(d.Minutes())%60), "min")
	if d < time.Hour {
		add(trim((d%time.Minute).Seconds(), 1), "s")
	}
	return sign + strings.Join(parts, " ")
}

// trim writes a number with some decimals at most.
func trim(v float64, decimals int) string {
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// thousands writes a whole number in groups of three.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// percent writes a share. What is not all is never written as 100 %, and what is not nothing never as 0 %.
func percent(share float64) string {
	text := trim(100*share, 2)
	switch {
	case text == "100" && share < 1:
		text = "99.99"
	case text == "0" && share > 0:
		text = "<0.01"
	}
	return text + " %"
}

// clock writes a moment.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.0 UTC") }

// Value writes one of the objective's numbers for people; nothing for null.
func (o Objective) Value(v *float64) string {
	if v == nil {
		return ""
	}
	if o.Unit == UnitPayments {
		return thousands(int(*v))
	}
	return spell(time.Duration(*v * float64(time.Second)))
}

func optional(s *Seconds) string {
	if s == nil {
		return ""
	}
	return spell(s.Duration())
}

func optionalCount(n *int) string {
	if n == nil {
		return ""
	}
	return thousands(*n)
}
