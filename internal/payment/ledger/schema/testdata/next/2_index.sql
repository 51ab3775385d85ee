-- +goose Up
CREATE INDEX next_region ON payments (region);
