package ledger

import (
	"context"
	"time"

	"payments-dr/internal/payment"
)

// Session hands over the payments of one session, each with the time of its recording. The function's error ends it and is
// returned as it is.
func (l *Ledger) Session(ctx context.Context, sessionID string, each func(p payment.Payment, recordedAt time.Time) error) error {
	return l.recorded(ctx, each, "SELECT * FROM payments WHERE session_id = ?", []byte(sessionID))
}

// All hands over every payment, each with the time of its recording. The function's error ends it and is returned as it is.
func (l *Ledger) All(ctx context.Context, each func(p payment.Payment, recordedAt time.Time) error) error {
	return l.recorded(ctx, each, "SELECT * FROM payments")
}

func (l *Ledger) recorded(ctx context.Context, each func(payment.Payment, time.Time) error, statement string, arguments ...any) error {
	var fault error
	err := query(ctx, l.database, func(p payment.Payment, recordedAt time.Time) error {
		fault = each(p, recordedAt)
		return fault
	}, statement, arguments...)
	if err != nil && fault == nil {
		return classify("read payments", err)
	}
	return fault
}
