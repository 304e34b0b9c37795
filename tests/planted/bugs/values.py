"""What a row may hold (docs/faults.md 36-41, 69-79): each bug stores, drops or refuses what it should not."""

from __future__ import annotations

from tests.planted.bug import Bug

_READERS, _REPLY = "syncd/wire/readers.py", "syncd/wire/reply.py"
_DECODE, _PEOPLE, _PROGRAM = (f"syncd/sources/revento/decode{name}.py" for name in ("", "_people", "_program"))
_COLUMNS, _QUARANTINE = "syncd/sources/columns.py", "syncd/store/quarantine.py"
_OF_READERS, _OF_REPLY = "tests/wire/test_readers.py", "tests/wire/test_reply.py"
_OF_PEOPLE, _OF_PROGRAM = (f"tests/sources/revento/test_decode_{name}.py" for name in ("people", "program"))
_OF_WALKS, _CHANGES = "tests/sources/revento/test_walks.py", "tests/sync/test_world_changes.py"

BUGS = (
    Bug(
        "an id may have any length",
        _READERS, "if len(value.encode()) > LONGEST_ID_BYTES else None", "if False else None",
        (f"{_OF_READERS}::test_a_row_without_a_usable_id_is_set_aside_whole",
         f"{_OF_PEOPLE}::test_row_without_a_usable_id_is_rejected"), (36,),
    ),
    Bug(
        "blanks around an id are dropped",
        _READERS, "        return str(value)\n", "        return str(value).strip()\n",
        (f"{_OF_PEOPLE}::test_odd_ids_are_taken_byte_by_byte",), (36,),
    ),
    Bug(
        "an id is compared without case",
        _COLUMNS, "    return \"/\".join(ids)\n", "    return \"/\".join(ids).lower()\n",
        (f"{_OF_PEOPLE}::test_odd_ids_are_taken_byte_by_byte",), (36,),
    ),
    Bug(
        "a field that nobody asked for is dropped",
        _READERS, "for name, value in self._rest.items() if self._storable(name, value)}",
        "for name, value in self._rest.items() if False}",
        (f"{_OF_PEOPLE}::test_unknown_fields_and_values_are_kept",
         f"{_OF_READERS}::test_what_nobody_asked_for_is_kept_nested_objects_too"), (37,),
    ),
    Bug(
        "a nested field that nobody asked for is dropped",
        _READERS, "return rest | {name: value for name, value in nested.items() if value}", "return rest",
        (f"{_OF_READERS}::test_what_nobody_asked_for_is_kept_nested_objects_too",
         f"{_OF_PROGRAM}::test_unknown_fields_are_kept_and_copies_are_not"), (37,),
    ),
    Bug(
        "an absent sign-up list is an empty one",
        _PROGRAM, "return \"absent\", ()", "return \"whole\", ()",
        (f"{_OF_PROGRAM}::test_sign_up_list", f"{_CHANGES}::test_a_list_that_is_cut_or_gone_closes_nothing"), (38,),
    ),
    Bug(
        "a sign-up list that was cut is whole",
        _PROGRAM, "\"partial\" if is_cut else \"whole\"", "\"whole\"",
        (f"{_OF_PROGRAM}::test_sign_up_list", f"{_CHANGES}::test_a_list_that_is_cut_or_gone_closes_nothing"), (38,),
    ),
    Bug(
        "the waves of an activity that names none are dropped",
        _PROGRAM, "    if member_ids is None:\n        return ()\n", "    member_ids = member_ids or ()\n",
        (f"{_OF_PROGRAM}::test_waves_that_an_activity_names",), (38,),
    ),
    Bug(
        "the number of sign-ups is counted, not read",
        _PROGRAM, "        committed_signups_count=committed,\n", "        committed_signups_count=len(signed_up),\n",
        (f"{_OF_PROGRAM}::test_what_an_activity_says_is_never_derived",), (39,),
    ),
    Bug(
        "NUL is stored",
        _READERS, "    if \"\\0\" in value:\n", "    if value == \"\\0\":\n",
        (f"{_OF_READERS}::test_a_field", f"{_CHANGES}::test_a_poisoned_row_costs_itself_alone"), (69,),
    ),
    Bug(
        "NUL is not replaced in what is set aside",
        _QUARANTINE, "return value.replace(\"\\0\", \"\\\\u0000\")", "return value",
        (f"{_CHANGES}::test_a_poisoned_row_costs_itself_alone",), (69,),
    ),
    Bug(
        "half of a surrogate pair is stored",
        _READERS, "return None if value.isascii() or not _SURROGATE.search(value) else", "return None if True else",
        (f"{_OF_READERS}::test_what_is_called_storable_can_be_stored",
         f"{_OF_READERS}::test_a_field"), (70,),
    ),
    Bug(
        "a lone surrogate costs its page",
        _REPLY, "    except ContractBreach:\n        rows, rest", "    except ZeroDivisionError:\n        rows, rest",
        (f"{_OF_REPLY}::test_a_row_with_a_lone_surrogate_costs_no_other_row",), (70,),
    ),
    Bug(
        "an integer may have more than 64 bits",
        _READERS, "return None if -_INT64 <= value < _INT64 else \"an integer of more than 64 bits\"", "return None",
        (f"{_OF_READERS}::test_a_field", f"{_OF_READERS}::test_what_is_called_storable_can_be_stored"), (71,),
    ),
    Bug(
        "a flag is a number",
        _READERS, "is_flag_as_number = isinstance(value, bool) and kind not in (bool, object)",
        "is_flag_as_number = False",
        (f"{_OF_READERS}::test_a_field",), (71, 78),
    ),
    Bug(
        "NaN is a number",
        _READERS, ", parse_constant=Unreadable)", ")",
        (f"{_OF_REPLY}::test_a_number_that_nothing_holds_costs_its_value_alone",
         f"{_OF_READERS}::test_a_number_beyond_all_bounds_never_becomes_infinity"), (72,),
    ),
    Bug(
        "NaN costs its row",
        _READERS, "    except (msgspec.MsgspecError, UnicodeDecodeError):\n        return json.loads(",
        "    except ZeroDivisionError:\n        return json.loads(",
        (f"{_OF_REPLY}::test_a_number_that_nothing_holds_costs_its_value_alone",), (72, 73),
    ),
    Bug(
        "a number beyond all bounds becomes infinity",
        _READERS, "return number if math.isfinite(number) else Unreadable(literal)", "return number",
        (f"{_OF_READERS}::test_a_number_beyond_all_bounds_never_becomes_infinity",), (71, 73),
    ),
    Bug(
        "an integer of any length is read",
        _READERS, "return int(literal) if len(literal) <= LONGEST_INTEGER else Unreadable(literal)",
        "return int(literal)",
        (f"{_OF_REPLY}::test_an_integer_of_any_length_costs_its_value_alone_even_beside_a_surrogate",
         f"{_OF_READERS}::test_a_number_beyond_all_bounds_never_becomes_infinity"), (74,),
    ),
    Bug(
        "a value may nest as deep as it likes",
        _READERS, "if depth > DEEPEST_NESTING:", "if False:",
        (f"{_OF_READERS}::test_nesting_has_a_floor",), (74,),
    ),
    Bug(
        "a row may nest as deep as it likes",
        _READERS, "if nests_deeper_than(DEEPEST_ROW, text):", "if False:",
        (f"{_OF_READERS}::test_no_depth_makes_a_row_fail_half_way",), (74,),
    ),
    Bug(
        "a reply may hold any number of values",
        _REPLY, "if holds_more_than(MOST_VALUES, reply.body):", "if False:",
        (f"{_OF_REPLY}::test_what_holds_too_much_is_a_breach_before_it_is_built",), (74,),
    ),
    Bug(
        "of a key that is given twice the first counts",
        _READERS, "        return msgspec.json.decode(raw)\n",
        "        return json.loads(raw, object_pairs_hook=lambda pairs: dict(reversed(pairs)))\n",
        (f"{_OF_READERS}::test_of_a_key_that_is_given_twice_the_last_counts",
         f"{_OF_PEOPLE}::test_of_duplicate_keys_the_last_wins"), (75,),
    ),
    Bug(
        "a form's key may have any length",
        _PEOPLE, "        if len(key.encode()) <= LONGEST_ID_BYTES\n", "",
        (f"{_OF_PEOPLE}::test_key_that_fits_no_index_stays_in_the_answers",), (76,),
    ),
    Bug(
        "keys of a form are told apart without case",
        _PEOPLE, "            \"field_key\": key,\n", "            \"field_key\": key.casefold(),\n",
        (f"{_OF_PEOPLE}::test_answers_are_kept_as_received_whatever_their_keys",), (77,),
    ),
    Bug(
        "a key that cannot be stored is stored",
        _READERS, "reason = unstorable(name) or unstorable(value)", "reason = unstorable(value)",
        (f"{_OF_READERS}::test_a_map_loses_only_what_cannot_be_stored",
         f"{_OF_PEOPLE}::test_answers_are_kept_as_received_whatever_their_keys"), (69, 77),
    ),
    Bug(
        "a value of another type is taken",
        _READERS, "reason = _wrong_kind(value, kind) or unusable(value)", "reason = unusable(value)",
        (f"{_OF_PEOPLE}::test_bad_value_is_left_out_and_the_row_kept",), (78,),
    ),
    Bug(
        "one poisoned row costs its page",
        _DECODE, "change, shared = decode(fields, self._event_id)\n        except RowRejected as rejected:\n",
        "change, shared = decode(fields, self._event_id)\n        except ZeroDivisionError as rejected:\n",
        (f"{_OF_WALKS}::test_poison_rows_are_set_aside_whole_and_the_rest_is_kept",
         f"{_CHANGES}::test_a_poisoned_row_costs_itself_alone"), (79,),
    ),
    Bug(
        "a rejected row is counted nowhere",
        "syncd/store/walks.py", "len(page.changes) + len(page.rejected),\n", "len(page.changes),\n",
        (f"{_CHANGES}::test_a_poisoned_row_costs_itself_alone",), (79,),
    ),
    Bug(
        "a rejected row is not kept",
        _QUARANTINE, "for bad in (*row.rejected, *row.bad_values):", "for bad in row.bad_values:",
        (f"{_CHANGES}::test_a_poisoned_row_costs_itself_alone",), (79,),
    ),
    Bug(
        "of rejected rows at one place the first is kept",
        _QUARANTINE, "_text(bad.raw)\n", "_text(bad.raw and bad.reason)\n",
        ("tests/sync/test_hardships.py::test_each_rejected_row_is_kept",), (79,),
    ),
)  # fmt: skip
