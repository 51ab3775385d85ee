-- Ids are bytes: a text collation would take 'a' and 'A', or 'a' and 'a ', for the same payment.
-- IF NOT EXISTS, because a table cannot be made and its version noted in one transaction: a migration that was cut off
-- between the two is run again.

-- +goose Up
CREATE TABLE IF NOT EXISTS payments (
    session_id     VARBINARY(255) NOT NULL,
    transaction_id VARBINARY(255) NOT NULL,
    amount         DECIMAL(16, 4) NOT NULL,
    currency       CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    region         VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    accepted_at    DATETIME(6) NOT NULL,
    recorded_at    DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
    PRIMARY KEY (session_id, transaction_id),
    KEY payments_accepted_at (accepted_at),
    CONSTRAINT payments_amount_positive CHECK (amount > 0)
) ENGINE = InnoDB;
