SET innodb_lock_wait_timeout = 5, sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'
START TRANSACTION
SELECT session_id, transaction_id, amount, currency, region, accepted_at FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-0'),(_binary's',_binary't-1'),(_binary's',_binary't-2'))
INSERT INTO payments (session_id, transaction_id, amount, currency, region, accepted_at) VALUES (_binary's',_binary't-0','1.25','USD','us-east-1','2026-11-22 03:00:00.123456'),(_binary's',_binary't-1','1.25','USD','us-east-1','2026-11-22 03:00:01.123456'),(_binary's',_binary't-2','1.25','USD','us-east-1','2026-11-22 03:00:02.123456')
COMMIT
START TRANSACTION
SELECT session_id, transaction_id, amount, currency, region, accepted_at FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-0'),(_binary's',_binary't-1'),(_binary's',_binary't-2'))
COMMIT
SELECT session_id, transaction_id, amount, currency, region, accepted_at FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-0'),(_binary's',_binary't-1'),(_binary's',_binary't-2'),(_binary's',_binary't-3'))
START TRANSACTION
SELECT session_id, transaction_id, amount, currency, region, accepted_at FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-3'))
INSERT INTO payments (session_id, transaction_id, amount, currency, region, accepted_at) VALUES (_binary's',_binary't-3','1.25','USD','us-east-1','2026-11-22 03:00:03.123456')
COMMIT
SELECT session_id, transaction_id, amount, currency, region, accepted_at FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-3'))
SELECT session_id, transaction_id, amount, currency, region, accepted_at FROM payments WHERE accepted_at >= '2026-11-22 03:00:00' AND accepted_at < '2026-11-22 03:10:00' AND (accepted_at > '2026-11-22 03:00:00' OR session_id > _binary'' OR session_id = _binary'' AND transaction_id > _binary'') ORDER BY accepted_at, session_id, transaction_id LIMIT 1000
SELECT session_id, transaction_id, amount, currency, region, accepted_at FROM payments WHERE (session_id, transaction_id) IN ((_binary's',_binary't-0'),(_binary's',_binary't-1'),(_binary's',_binary't-2'),(_binary's',_binary't-3'))
SELECT session_id, transaction_id, amount, currency, region, accepted_at FROM payments WHERE accepted_at >= '2026-11-22 03:00:00' AND accepted_at < '2026-11-22 03:10:00' AND (accepted_at > '2026-11-22 03:00:00' OR session_id > _binary'' OR session_id = _binary'' AND transaction_id > _binary'') ORDER BY accepted_at, session_id, transaction_id LIMIT 1000
SELECT currency, COUNT(*), SUM(amount) FROM payments WHERE accepted_at >= '2026-11-22 03:00:00' AND accepted_at < '2026-11-22 03:10:00' AND currency <> 'XTS' GROUP BY currency
SELECT transaction_id, amount, currency, region, accepted_at, recorded_at FROM payments WHERE session_id = _binary's'
SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_read_only', 'read_only')
