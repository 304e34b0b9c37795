SELECT
    location.location_key,
    location.event_id,
    location.location_id,
    location.name AS location_name,
    location.code AS location_code,
    location.type AS location_type,
    location.scope AS location_scope,
    location.is_schedulable,
    location.capacity AS location_capacity,
    location.operating_hours,
    location.opens_at,
    location.closes_at,
    location.venue_key,
    venue.name AS venue_name,
    location.building_key,
    building.name AS building_name,
    location.floor_key,
    floor.name AS floor_name,
    floor.number AS floor_number,
    location.sort_order AS location_sort_order,
    location._syncd_synced_at AS synced_at
FROM revento.locations AS location
LEFT JOIN revento.venues AS venue ON venue.venue_key = location.venue_key
LEFT JOIN revento.buildings AS building ON building.building_key = location.building_key
LEFT JOIN revento.floors AS floor ON floor.floor_key = location.floor_key
WHERE location._syncd_deleted_at IS NULL
    AND NOT location._syncd_is_stub
