-- +goose Up
CREATE TABLE IF NOT EXISTS next_settlements (id BIGINT PRIMARY KEY);
