"""Where a venue's key is read from, and what shows nothing of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trade_balancer.books.key import Key
from trade_balancer.errors import InputError

KEY = "a-key-that-nobody-may-see"
WRONG = ("", "two words", "two\nlines", "with-\x07", "schl\u00fcssel", 4097 * "k")


def test_one_in_the_environment_is_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LB_TEST_KEY", f" {KEY}\n")
    key = Key("env:LB_TEST_KEY")
    assert "LB_TEST_KEY" not in os.environ
    assert [key.reveal(), key.reveal()] == [KEY, KEY]
    assert KEY not in f"{key} {key!r}"


def test_one_in_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"\ufeff{KEY}\n")
    key = Key(f"@{file}")
    assert key.reveal() == KEY
    file.write_text("another")
    assert key.reveal() == "another"
    assert "another" not in f"{key} {key!r}"
    file.unlink()
    with pytest.raises(InputError, match="can't be read"):
        key.reveal()


@pytest.mark.parametrize("text", WRONG)
def test_what_can_be_no_key_is_refused_and_not_shown(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    monkeypatch.setenv("LB_TEST_KEY", text)
    for form in (f"@{file}", "env:LB_TEST_KEY"):
        with pytest.raises(InputError, match="does not hold a key") as refused:
            Key(form)
        assert not text or text not in str(refused.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        Key(f"@{tmp_path}/key")
