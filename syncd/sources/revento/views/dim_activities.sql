SELECT
    activity.activity_key,
    activity.event_id,
    activity.activity_id,
    activity.title AS activity_title,
    activity.activity_type,
    activity.status AS activity_status,
    activity.start_time AS starts_at,
    activity.end_time AS ends_at,
    activity.start_time AT TIME ZONE event.timezone AS starts_at_local,
    activity.end_time AT TIME ZONE event.timezone AS ends_at_local,
    (activity.start_time AT TIME ZONE event.timezone)::date AS event_day,
    activity.duration_minutes,
    activity.thread_key,
    thread.name AS thread_name,
    activity.location_key,
    location.name AS location_name,
    building.name AS building_name,
    venue.name AS venue_name,
    activity.host_participant_key,
    activity.capacity,
    activity.sign_ups_enabled AS has_sign_ups,
    activity.committed_signups_count AS committed_sign_ups,
    CASE WHEN activity.sign_ups_list <> 'absent' THEN coalesce(listed.people, 0) END AS listed_sign_ups,
    activity.sign_ups_list,
    activity.committed_signups_count::double precision / nullif(activity.capacity, 0) AS fill_rate,
    activity.created_at AS activity_created_at,
    activity.updated_at AS activity_updated_at,
    activity._syncd_synced_at AS synced_at
FROM revento.activities AS activity
LEFT JOIN revento.events AS event ON event.event_id = activity.event_id
LEFT JOIN revento.threads AS thread ON thread.thread_key = activity.thread_key
LEFT JOIN revento.locations AS location ON location.location_key = activity.location_key
LEFT JOIN revento.buildings AS building ON building.building_key = location.building_key
LEFT JOIN revento.venues AS venue ON venue.venue_key = location.venue_key
LEFT JOIN (
    SELECT activity_key, count(*) AS people
    FROM revento.activity_sign_ups
    WHERE removed_at IS NULL
    GROUP BY activity_key
) AS listed ON listed.activity_key = activity.activity_key
WHERE activity._syncd_deleted_at IS NULL
    AND NOT activity._syncd_is_stub
