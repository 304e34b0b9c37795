"""A proof that proves nothing, and a dry run that foretells another round than the one that comes."""

from __future__ import annotations

from tests.planted.bug import Bug

_COMPARISON, _VERIFY, _LOOK = "syncd/store/comparison.py", "syncd/sync/verify.py", "syncd/sync/look.py"
_PREVIEW, _CHANGES, _ABSENCE = "syncd/sync/preview.py", "syncd/store/changes.py", "syncd/store/removals.py"
_PROVES, _FORETELLS = ("tests/sync/test_verify.py",), ("tests/sync/test_preview.py",)

_OF_VERIFY = (
    Bug(
        "verify trusts the hashes",
        _COMPARISON, "columns = ours.columns + parts", "columns = ()", _PROVES,
    ),
    Bug(
        "verify compares no parts",
        _COMPARISON, "columns = ours.columns + parts", "columns = ours.columns",
        (f"{_PROVES[0]}::test_a_sign_up_list_that_was_changed_here",),
    ),
    Bug(
        "verify compares no hashes",
        _COMPARISON, "if not columns and ours.has_hash:", "if not columns:", _PROVES,
    ),
    Bug(
        "verify looks at no unmapped field",
        _COMPARISON, "for key, differing in await _compare_unmapped(tx, table, rows):", "for key, differing in []:",
        _PROVES,
    ),
    Bug(
        "verify looks at no dictionary",
        _COMPARISON, "return await _compare_dictionary(tx, table, grows, parts)", "return []", _PROVES,
    ),
    Bug(
        "verify compares closed spells",
        _COMPARISON, 'spell_columns(table), "removed_at IS NULL")', "spell_columns(table))", _PROVES,
    ),
    Bug(
        "verify takes the other side's links for this one's",
        _COMPARISON, "identity_of(table), flag)", "identity_of(table))", _PROVES,
    ),
    Bug(
        "verify takes a hidden row for a live one",
        _COMPARISON, "if ours.is_hidden:", "if False:", _PROVES,
    ),
    Bug(
        "verify takes a stub for a row",
        _COMPARISON, "if ours is None or ours.is_stub:", "if ours is None:", _PROVES,
    ),
    Bug(
        "verify calls every stamped difference newer",
        _COMPARISON, "version and certified_at and version > certified_at", "version and certified_at", _PROVES,
    ),
    Bug(
        "a list that was cut testifies to absence",
        _COMPARISON, "if not (is_only_here and key in open_lists)", "if True", _PROVES,
    ),
    Bug(
        "verify looks for no extra row",
        _COMPARISON, "for ref in keys if ref not in met]", "for ref in keys if ref in set()]", _PROVES,
    ),
    Bug(
        "verify does not know what waits for a person",
        _COMPARISON, '"held" if ref in waiting else None', "None", _PROVES,
    ),
    Bug(
        "a row that cannot be read is no difference",
        _VERIFY, '"differs" if differences or met.rejected else "equal"', '"differs" if differences else "equal"',
        _PROVES,
    ),
    Bug(
        "a sample calls all that it did not read extra",
        _VERIFY, "extra if is_whole else None)", "extra)", _PROVES,
    ),
    Bug(
        "a sample fetches the page behind its end",
        _VERIFY, "ahead=sample is None", "ahead=True", _PROVES,
    ),
    Bug(
        "verify forgets what rows share",
        _VERIFY, "met.enter(page, shared | compared", "met.enter(page, compared", _PROVES,
    ),
    Bug(
        "a walk that broke off counts as equal",
        _VERIFY, "proofs[-1] if proofs else _unproven(result)", "proofs[-1] if proofs else Proof(stream.name, 'equal')",
        _PROVES,
    ),
)  # fmt: skip
_OF_DRY_RUNS = (
    Bug(
        "who only looks may write",
        "syncd/store/database.py", 'await cursor.execute("SET TRANSACTION READ ONLY")', "pass", _PROVES,
    ),
    Bug(
        "who only looks records its calls at the end",
        _LOOK, "            await store_requests(run.database, run.installation.name, None, run.requests)\n", "",
        _PROVES,
    ),
    Bug(
        "who only looks forgets the page size that fitted",
        _LOOK, "Start(limit=(await load_position(tx)).limit)", "Start()", _FORETELLS,
    ),
    Bug(
        "who only looks does not renew the token in time",
        _LOOK, "if run.installation.cursor_survives_refresh is False:", "if False:", _FORETELLS,
    ),
    Bug(
        "who only looks walks a listing in vain that outlives each token",
        _LOOK, "            rule.require_hope(error, restarts)\n",
        "            RestartRule().require_hope(error, restarts)\n", _FORETELLS,
    ),
    Bug(
        "a dry run inserts a repeated row twice",
        _CHANGES, "{**await _read_known(tx, table, served), **before}", "await _read_known(tx, table, served)",
        _FORETELLS,
    ),
    Bug(
        "a dry run quarantines a repeated value twice",
        "syncd/store/quarantine.py", "for bad in bad_values} - foreseen", "for bad in bad_values}", _FORETELLS,
    ),
    Bug(
        "a dry run takes a shifted listing for a witness",
        _PREVIEW, "and no_shift", "", _FORETELLS,
    ),
    Bug(
        "a dry run takes a restarted walk for a witness",
        _PREVIEW, "is_witness=is_first and ledger.is_whole", "is_witness=ledger.is_whole", _FORETELLS,
    ),
    Bug(
        "a dry run removes at the first absence",
        "syncd/sync/removals.py", "rules.witnesses - walked.is_witness", "rules.witnesses - 1 or 1", _FORETELLS,
    ),
    Bug(
        "a dry run does not count what it met",
        _ABSENCE, "met = await _met(tx, since) | walked", "met = await _met(tx, since)", _FORETELLS,
    ),
    Bug(
        "a dry run judges a removal by the rows of before",
        _ABSENCE, "live = len(walked)", "live = 0", _FORETELLS,
    ),
    Bug(
        "a dry run forgets what came before a failure",
        _PREVIEW, "counts=foreseen.counts,", "", _FORETELLS,
    ),
    Bug(
        "a dry run calls itself certified",
        "syncd/cli/result.py", 'outcome.is_dry and stream.status == "certified"', "False",
        ("tests/cli/test_verify.py",),
    ),
    Bug(
        "a dry run syncs",
        "syncd/cli/sync.py", "telling.preview if asked.dry else telling.sync", "telling.sync",
        ("tests/cli/test_verify.py",),
    ),
)  # fmt: skip

BUGS = (*_OF_VERIFY, *_OF_DRY_RUNS)
