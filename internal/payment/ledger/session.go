package ledger

import (
	"context"
	"time"

	"payments-dr/internal/payment"
)

// Session hands over the payments of one session, each with the time of its recording. The function's error ends it and is
// returned as it is.
func (l *Ledger) Session(ctx context.Context, sessionID string, each func(p payment.Payment, recordedAt time.Time) error) error {
	rows, err := l.database.QueryContext(ctx, "SELECT transaction_id, amount, currency, region, accepted_at, recorded_at FROM payments WHERE session_id = ?", []byte(sessionID))
	if err != nil {
		return classify("read session", err)
	}
	defer rows.Close()
	for rows.Next() {
		var transactionID []byte
		var number, code string
		var recordedAt time.Time
		p := payment.Payment{Status: payment.StatusProcessed}
		if err := rows.Scan(&transactionID, &number, &code, &p.Region, &p.Timestamp, &recordedAt); err != nil {
			return classify("read session", err)
		}
		p.Identity = payment.Identity{SessionID: sessionID, TransactionID: string(transactionID)}
		if p.Amount, err = amount(number, code); err != nil {
			return err
		}
		if err := each(p, recordedAt); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return classify("read session", err)
	}
	return nil
}
