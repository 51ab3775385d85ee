-- The moments up to which the session table and the ledger have been reconciled. The latest one counts. Rows are added and never
-- changed, as in payments, so that the functions' user needs no more than SELECT and INSERT.
--
-- The table is in the ledger's database on purpose: a failover that loses rows, or a restore, takes it back together with them.

-- +goose Up
CREATE TABLE IF NOT EXISTS reconciliations (
    id            BIGINT NOT NULL AUTO_INCREMENT,
    reconciled_to DATETIME(6) NOT NULL,
    recorded_at   DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
    PRIMARY KEY (id),
    KEY reconciliations_reconciled_to (reconciled_to)
) ENGINE = InnoDB;
