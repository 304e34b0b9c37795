"""The views of schema `bi` that read this source: their SQL stands in views/*.sql, their comments here.

They hold no personal data, no stub and no row that was removed at the source (docs/warehouse.md §5).
"""

from __future__ import annotations

from importlib.resources import files

from syncd.model import View

# In `bi` a column name means one thing everywhere, so each has one comment.
_COLUMNS = {
    "event_id": "The event",
    "synced_at": "When syncd last changed this row's content, in UTC",
    # participants
    "participant_key": "Key of the participant, the same in every table",
    "participant_id": "The API's id of the participant, unique within the event",
    "user_id": "The person's account, the same across events",
    "registered_at": "When the person became registered, in UTC; null: not registered",
    "role_key": "Key of the participant's role; null: none",
    "role_id": "The API's id of the role, unique within the event",
    "role_name": "Display name of the role; each event defines its own; null: none, or not known yet",
    "application_status": "Known: pending, approved, rejected, revision_requested",
    "is_private": "True: the person asked not to be shown by name",
    "last_reviewed_at": "When the application was last reviewed, in UTC; null: never",
    "last_reviewer_id": "Account of the last reviewer; null: never reviewed",
    "last_review_action": "Known: approved, rejected, revision_requested; null: never reviewed",
    "participant_created_at": "When the participant was created, in UTC",
    "participant_updated_at": "When the participant last changed at the source, in UTC",
    # activities
    "activity_key": "Key of the activity, the same in every table",
    "activity_id": "The API's id of the activity, unique within the event",
    "activity_title": "Display title of the activity",
    "activity_type": "Known: rpg_session, lecture, workshop, competition, discussion, LARP, other, break",
    "activity_status": "Known: new, scheduled, canceled",
    "starts_at": "When the activity starts, in UTC; null: not scheduled yet",
    "ends_at": "When the activity ends, in UTC; null: not scheduled yet",
    "starts_at_local": "When the activity starts, on the event's own clock; null: not scheduled yet",
    "ends_at_local": "When the activity ends, on the event's own clock; null: not scheduled yet",
    "event_day": "Day on which the activity starts, in the event's zone; null: not scheduled yet",
    "duration_minutes": "Length as the organizer gave it, in minutes; null: not said",
    "thread_key": "Key of the program thread; null: none",
    "thread_name": "Display name of the program thread; null: none, or not known yet",
    "host_participant_key": "Key of the host, a participant; null: none",
    "capacity": "Seats of the activity; null: not limited, or not said",
    "has_sign_ups": "True: participants can sign up for the activity",
    "committed_sign_ups": "People who have committed to the activity, as the API counts them",
    "listed_sign_ups": "People on the activity's sign-up list, as observed; null: the API shows no list",
    "sign_ups_list": "How much of the sign-up list the API last showed: absent, partial, whole",
    "fill_rate": "committed_sign_ups / capacity, 1 = full; null: no capacity, or none said",
    "activity_created_at": "When the activity was created, in UTC",
    "activity_updated_at": "When the activity last changed at the source, in UTC",
    # locations
    "location_key": "Key of the room or spot; null: not assigned yet",
    "location_id": "The API's id of the location, unique within the event",
    "location_name": "Display name of the room or spot; null: not assigned yet",
    "location_code": "Short sign, such as MH-1",
    "location_type": "Known: room, stage, expo, food, restroom, entrance, info, parking, rest_area, first_aid, "
    "smoking_area, other",
    "location_scope": "Known: indoor, outdoor",
    "is_schedulable": "True: activities can be placed here",
    "location_capacity": "People that fit into the location; null: not said",
    "operating_hours": "Opening hours of the location as typed by the organizer",
    "opens_at": "Local time of day at which the location opens; null: not given as a plain time",
    "closes_at": "Local time of day at which the location closes; null: not given as a plain time",
    "venue_key": "Key of the venue; null: not known",
    "venue_name": "Display name of the venue; null: not known",
    "building_key": "Key of the building; null: outdoors, or not said",
    "building_name": "Display name of the building; null: outdoors, or not said",
    "floor_key": "Key of the floor; null: outdoors, or not said",
    "floor_name": "Display name of the floor; null: outdoors, or not said",
    "floor_number": "Storey, 0 = ground floor; null: outdoors, or not said",
    "location_sort_order": "Place of the location among its venue's, from 0",
}


def _view(name: str, comment: str, columns: str) -> View:
    select = files(__package__).joinpath("views", f"{name}.sql").read_text("utf-8")
    return View(name, select, comment, {column: _COLUMNS[column] for column in columns.split()})


VIEWS = (
    _view(
        "dim_participants",
        "Participants of all events, one row each, without personal data",
        "participant_key event_id participant_id user_id registered_at role_key role_id role_name application_status "
        "is_private last_reviewed_at last_reviewer_id last_review_action participant_created_at "
        "participant_updated_at synced_at",
    ),
    _view(
        "dim_activities",
        "Program activities, one row each, with their times on the event's clock, room, thread and sign-ups",
        "activity_key event_id activity_id activity_title activity_type activity_status starts_at ends_at "
        "starts_at_local ends_at_local event_day duration_minutes thread_key thread_name location_key location_name "
        "building_name venue_name host_participant_key capacity has_sign_ups committed_sign_ups listed_sign_ups "
        "sign_ups_list fill_rate activity_created_at activity_updated_at synced_at",
    ),
    _view(
        "dim_locations",
        "Rooms and spots of all events, one row each, with their venue, building and floor",
        "location_key event_id location_id location_name location_code location_type location_scope is_schedulable "
        "location_capacity operating_hours opens_at closes_at venue_key venue_name building_key building_name "
        "floor_key floor_name floor_number location_sort_order synced_at",
    ),
)
