"""What an earlier lb has left in the folder of spilled records, and whose it is now."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import Unavailable
from lb.slots.spill import Segment, SpillFolder, segment_bytes


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 12)), max_size=30), st.integers(1, 12))
def test_every_segment_is_kept_and_those_of_a_pipe_stay_in_order(left: set[tuple[int, int]], pipes: int) -> None:
    with tempfile.TemporaryDirectory() as path:
        for pipe, number in left:
            Path(path, f"{pipe:05}-{number:016}.spill").write_text(f"{pipe} {number}")
        Path(path, "notes.txt").write_text("not ours")
        with closing(SpillFolder(path)) as folder:
            taken = folder.segments(pipes)
        assert taken == sorted(taken)
        assert {file.name for file in Path(path).iterdir()} == {"notes.txt", *(segment.name for segment in taken)}
        held = [(segment.pipe, *map(int, Path(path, segment.name).read_text().split())) for segment in taken]
        assert held == sorted((pipe % pipes, pipe, number) for pipe, number in left)
        for pipe in range(pipes):
            numbers = [segment.number for segment in taken if segment.pipe == pipe]
            assert numbers == list(range(len(numbers)))


def test_it_is_made_for_its_owner_alone_and_held(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with closing(SpillFolder(str(path))):
        assert path.stat().st_mode & 0o777 == 0o700
        with pytest.raises(Unavailable, match=f"^spill={path}: another lb uses this folder$"):
            SpillFolder(str(path))
    SpillFolder(str(path)).close()


def test_what_can_not_be_taken_over_is_named(tmp_path: Path) -> None:
    name = "00000-0000000000000000.spill"
    (tmp_path / name).write_text("")

    def recover(pipe: int, segment: int) -> object:
        assert Segment(pipe, segment).name == name
        raise OSError(5, "Input/output error")

    with (
        closing(SpillFolder(str(tmp_path))) as folder,
        pytest.raises(Unavailable, match=f": {name}: Input/output error"),
    ):
        folder.take_over(1, recover)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("max_bytes", "pipes", "expected"), [(8 << 30, 4, 16 << 20), (1 << 30, 64, 4 << 20), (1 << 20, 1, 1 << 20)]
)
def test_segments_are_small_beside_what_may_be_spilled(max_bytes: int, pipes: int, expected: int) -> None:
    assert segment_bytes(max_bytes, pipes) == expected
