SELECT
    participant.participant_key,
    participant.event_id,
    participant.participant_id,
    participant.user_id,
    participant.registered_at,
    participant.role_key,
    participant.role_id,
    role.name AS role_name,
    participant.application_status,
    participant.privacy_mode AS is_private,
    participant.last_reviewed_at,
    participant.last_reviewer_id,
    participant.last_review_action,
    participant.created_at AS participant_created_at,
    participant.updated_at AS participant_updated_at,
    participant._syncd_synced_at AS synced_at
FROM revento.participants AS participant
LEFT JOIN revento.roles AS role ON role.role_key = participant.role_key
WHERE participant._syncd_deleted_at IS NULL
    AND NOT participant._syncd_is_stub
