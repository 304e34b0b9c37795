SELECT
    installation,
    token_fingerprint,
    date_trunc('hour', sent_at, 'UTC') AS hour_at,
    count(*) AS calls,
    count(*) FILTER (WHERE status = 429) AS refused_calls,
    count(*) FILTER (WHERE status IS NULL OR status >= 400) AS failed_calls,
    (array_agg(rate_limit ORDER BY sent_at DESC) FILTER (WHERE rate_limit IS NOT NULL))[1] AS rate_limit,
    min(rate_remaining) AS lowest_remaining,
    (array_agg(rate_remaining ORDER BY sent_at DESC) FILTER (WHERE rate_remaining IS NOT NULL))[1] AS last_remaining,
    (array_agg(rate_reset_at ORDER BY sent_at DESC) FILTER (WHERE rate_reset_at IS NOT NULL))[1] AS last_reset_at,
    count(*) FILTER (WHERE waited_ms >= 1000) AS waits,
    (sum(waited_ms) / 1000)::double precision AS waited_seconds,
    count(*) FILTER (WHERE run_id IN (SELECT run_id FROM syncd.runs WHERE trigger = 'backfill')) AS backfill_calls
FROM syncd.requests
GROUP BY installation, token_fingerprint, date_trunc('hour', sent_at, 'UTC')
