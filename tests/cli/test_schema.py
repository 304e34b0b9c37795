"""`syncd schema` as a person runs it: data on stdout, no database, and names that may be short."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Syncd


def test_a_table_as_sql_as_markdown_and_as_json(syncd: Syncd) -> None:
    syncd.variables["SYNCD_DATABASE__URL"] = "postgresql://127.0.0.1:1/nowhere"
    sql = syncd("schema", "dim_locations", "revento.roles")
    assert (sql.exit_code, sql.err) == (0, "")
    assert "CREATE OR REPLACE VIEW bi.dim_locations" in sql.out
    assert "CREATE TABLE revento.roles (" in sql.out
    assert "revento.participants" not in sql.out
    assert syncd("schema", "--format", "md", "roles").out.startswith("## revento.roles\n")
    document = syncd("schema", "--json").document
    personal = {each["name"] for each in document["relations"] if each["is_personal"]}
    assert personal == {
        "participant_private", "activity_private", "user_profiles", "unmapped_fields", "quarantined_rows",
        "quarantined_values",
    }  # fmt: skip
    assert len(document["relations"]) > 30


@pytest.mark.parametrize(
    ("name", "says"), [("participant", "did you mean"), ("revento.activites", "did you mean revento.activities?")]
)
def test_a_table_that_is_none(syncd: Syncd, name: str, says: str) -> None:
    ended = syncd("schema", name)
    assert (ended.exit_code, ended.out) == (2, "")
    assert f"there is no table or view '{name}'" in ended.err
    assert says in ended.err
