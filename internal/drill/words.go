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
	case NameBacklog:
		return "Backlog at planned promotion"
	case NameLost:
		return "Acknowledged payments lost"
	case NameMissing:
		return "Acknowledged payments missing in the ledger"
	case NameDoubled:
		return "Payments recorded twice"
	case NameDifferent:
		return "Payments recorded with another amount"
	case NameUnexplained:
		return "Payments recorded without an explanation"
	case NameDisagreeing:
		return "Payments on which table and ledger disagree"
	case NameReconciliation:
		return "Left wrong by the last reconciliation"
	case NameExplained:
		return "Payments recorded that failed for the client"
	case NameLate:
		return "Payments not in the ledger at its promotion"
	}
	return clientTitle(name)
}

// meaning is how a number is defined, in a sentence or two. The definitions in full stand in the code, with what computes them.
func meaning(name Name, rule SustainedRule) string {
	span, success := spell(rule.For.Duration()), percent(rule.Success)
	switch name {
	case NamePaymentsRTO:
		return "The longest interruption. It begins with the fault, or without one with the first failed attempt. It ends with the answer that begins " + span +
			" in which at least " + success + " of attempts succeed."
	case NameLedgerRTO:
		return "From the fault to the record that begins " + span + " in which at least " + success + " of payments are recorded soon enough. Only payments accepted since the fault count."
	case NameRPO:
		return "After a loss: how long before the loss the oldest acknowledged payment was accepted that the promoted ledger did not have."
	case NameBacklog:
		return "In a planned move: how long before the promotion the oldest acknowledged payment was accepted that still waited to be recorded. Nothing is lost."
	case NameLost:
		return "Acknowledged to a client, and not in the table at the end."
	case NameMissing:
		return "Acknowledged to a client, and not in the ledger at the end."
	case NameDoubled:
		return "Records beyond the one that each payment may have: an identity twice, or two identities for one order."
	case NameDifferent:
		return "The table or the ledger has another amount or currency than the client sent."
	case NameUnexplained:
		return "In the table or the ledger, but no client has an acknowledgment, and no failed request explains it."
	case NameDisagreeing:
		return "In only one of the two, or in both with different amounts, whether acknowledged or not."
	case NameReconciliation:
		return "Payments that the last reconciliation left missing, conflicting or unaccounted."
	case NameExplained:
		return "No fault. The payment was accepted, but the client's request failed, and the client was told to send it again."
	case NameLate:
		return "Acknowledged before the loss, and not in the promoted ledger. Queues and reconciliation record them later; the rest is missing."
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
	of := map[Status]int{}
	for _, o := range r.Objectives {
		of[o.Status]++
	}
	judged, unjudged := len(r.Objectives)-of[StatusNotJudged], ""
	if of[StatusNotJudged] > 0 {
		unjudged = fmt.Sprintf(", %d not judged", of[StatusNotJudged])
	}
	switch {
	case of[StatusFail] > 0 && of[StatusNotMeasured] > 0:
		return fmt.Sprintf("%d of %d objectives missed, %d not measured%s", of[StatusFail], judged, of[StatusNotMeasured], unjudged)
	case of[StatusFail] > 0:
		return fmt.Sprintf("%d of %d objectives missed%s", of[StatusFail], judged, unjudged)
	case of[StatusNotMeasured] > 0:
		return fmt.Sprintf("%d of %d objectives not measured%s: no pass", of[StatusNotMeasured], judged, unjudged)
	case r.Status == StatusNotMeasured:
		return "the run ended early or observations are missing: no pass"
	case judged == 0:
		return "no objective was judged: no pass"
	}
	return fmt.Sprintf("all %d objectives met%s", judged, unjudged)
}

// unmeasuredLists counts the lists that Totals.AtFault sums up, and those of them that were not measured.
func (r Report) unmeasuredLists() (of, unmeasured int) {
	for _, o := range r.Objectives {
		switch o.Name {
		case NameLost, NameMissing, NameDoubled, NameDifferent, NameUnexplained:
			of++
			if o.Measured == nil {
				unmeasured++
			}
		}
	}
	return of, unmeasured
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

// clock writes a moment without its zone.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.0") }

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
