SELECT
    status.installation,
    status.stream,
    status.last_certified_at,
    extract(epoch FROM statement_timestamp() - status.last_certified_at)::bigint AS age_seconds,
    status.promised_seconds,
    status.status IS DISTINCT FROM 'skipped' AND (
        status.last_certified_at IS NULL
        OR statement_timestamp() - status.last_certified_at > status.promised_seconds * interval '1 second'
    ) AS is_stale,
    CASE
        WHEN installation.state <> 'active'
            THEN installation.state || coalesce(': ' || installation.state_reason, '')
        WHEN status.status <> 'certified' THEN status.reason
    END AS reason,
    status.last_tried_at,
    (
        SELECT count(*) FROM syncd.pending_removals AS pending
        WHERE pending.installation = status.installation AND pending.stream = status.stream
          AND pending.rejected_at IS NULL
    ) AS held_rows
FROM syncd.stream_status AS status
JOIN syncd.installations AS installation ON installation.name = status.installation
