"""What the file system refuses while plugins are put in place or taken out."""

from pathlib import Path

import pytest

from prx.core.errors import UnavailableError
from prx.plugins.staging import told


def test_what_the_file_system_refuses_is_told_with_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(
            UnavailableError, match="cannot be changed: Is a directory; make room or make the directory"
        ),
        told(tmp_path),
    ):
        tmp_path.read_bytes()


def test_a_file_that_went_away_is_told_as_somebody_elses_change(tmp_path: Path) -> None:
    with (
        pytest.raises(UnavailableError, match="was changed by somebody else meanwhile"),
        told(tmp_path / "gone"),
    ):
        (tmp_path / "gone").read_bytes()
