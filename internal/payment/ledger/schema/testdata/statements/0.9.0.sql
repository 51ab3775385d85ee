SET sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 5
START TRANSACTION
SELECT * FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-0'),(_binary's',_binary't-1'),(_binary's',_binary't-2'))
INSERT INTO payments (transaction_id, session_id, amount, currency, region, accepted_at) VALUES (_binary't-0',_binary's','1.25','USD','us-east-1','2026-11-22 03:00:00.123456'),(_binary't-1',_binary's','1.25','USD','us-east-1','2026-11-22 03:00:01.123456'),(_binary't-2',_binary's','1.25','USD','us-east-1','2026-11-22 03:00:02.123456')
COMMIT
START TRANSACTION
SELECT * FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-0'),(_binary's',_binary't-1'),(_binary's',_binary't-2'))
COMMIT
SELECT * FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-0'),(_binary's',_binary't-1'),(_binary's',_binary't-2'),(_binary's',_binary't-3'))
START TRANSACTION
SELECT * FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-3'))
INSERT INTO payments (transaction_id, session_id, amount, currency, region, accepted_at) VALUES (_binary't-3',_binary's','1.25','USD','us-east-1','2026-11-22 03:00:03.123456')
COMMIT
SELECT * FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-3'))
SELECT * FROM payments WHERE accepted_at >= '2026-11-22 03:00:00' AND accepted_at < '2026-11-22 03:10:00' AND (accepted_at > '2026-11-22 03:00:00' OR session_id > _binary'' OR session_id = _binary'' AND transaction_id > _binary'') ORDER BY accepted_at, session_id, transaction_id LIMIT 1000
SELECT * FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-0'),(_binary's',_binary't-1'),(_binary's',_binary't-2'),(_binary's',_binary't-3'))
SELECT * FROM payments WHERE accepted_at >= '2026-11-22 03:00:00' AND accepted_at < '2026-11-22 03:10:00' AND (accepted_at > '2026-11-22 03:00:00' OR session_id > _binary'' OR session_id = _binary'' AND transaction_id > _binary'') ORDER BY accepted_at, session_id, transaction_id LIMIT 1000
SELECT * FROM payments WHERE session_id = _binary's'
SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'reconciliations'
SELECT MAX(reconciled_to) FROM reconciliations
SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'reconciliations'
INSERT INTO reconciliations (reconciled_to) VALUES ('2026-11-22 03:00:00.123456')
SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'reconciliations'
INSERT INTO reconciliations (reconciled_to) VALUES ('2026-11-22 03:00:00.123456')
SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'reconciliations'
INSERT INTO reconciliations (reconciled_to) VALUES ('2026-11-22 02:00:00.123456')
SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'reconciliations'
SELECT MAX(reconciled_to) FROM reconciliations
SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_read_only', 'read_only')
