-- What the next release may add.

-- +goose Up
ALTER TABLE payments ADD COLUMN next_memo VARCHAR(64) NULL FIRST;
ALTER TABLE payments ADD COLUMN next_channel VARCHAR(16) NOT NULL DEFAULT 'api';
CREATE INDEX next_region ON payments (region);
CREATE TABLE IF NOT EXISTS next_settlements (id BIGINT PRIMARY KEY);
