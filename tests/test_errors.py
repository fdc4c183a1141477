"""What an exception means to the person who ran the command."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

import pear_avatar._native  # noqa: F401  (defines a kind of its own)
from pear_avatar.errors import DataFileError, PearError, content_errors, explain, require_file
from pear_avatar.geometry.cameras import intrinsics


def kinds(of: type[PearError] = PearError) -> list[type[PearError]]:
    """A class of errors and all below it."""
    return [of, *(kind for below in of.__subclasses__() for kind in kinds(below))]


def caught(call: object) -> BaseException:
    try:
        call()  # type: ignore[operator]
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_kind_is_the_users_and_keeps_its_message(kind: type[PearError]) -> None:
    failure = explain(kind("clip.mp4 is damaged:\ncopy it again"))
    assert (failure.exit_code, failure.message) == (2, "clip.mp4 is damaged: copy it again")


def test_a_missing_file_and_package_are_also_pythons_own_kinds() -> None:
    by_name = {kind.__name__: kind for kind in kinds()}
    assert issubclass(by_name["MissingFileError"], FileNotFoundError)
    assert issubclass(by_name["MissingPackageError"], ImportError)


def test_a_wrong_call_in_the_package_is_a_defect() -> None:
    failure = explain(caught(lambda: intrinsics(-1.0, 10, 10)))
    assert failure.exit_code == 1
    assert failure.is_defect
    assert "focal must be positive" in failure.message


def test_a_value_error_that_falls_out_of_numpy_is_a_fault_of_the_program() -> None:
    failure = explain(caught(lambda: np.zeros(3) + np.zeros(4)))
    assert failure.exit_code == 1
    assert "PEAR_AVATAR_DEBUG" in failure.message


def test_a_full_disk_is_told_with_the_file_and_what_is_kept() -> None:
    failure = explain(OSError(errno.ENOSPC, "No space left on device", "/data/a.bin"))
    assert failure.exit_code == 2
    assert "/data/a.bin" in failure.message
    assert "kept" in failure.message


def test_a_full_disk_is_recognised_inside_another_library() -> None:
    error = RuntimeError("I/O error: No space left on device (os error 28)")
    assert explain(error).exit_code == 2


def test_a_file_that_vanished_is_the_users() -> None:
    failure = explain(caught(lambda: Path("/nonexistent/file").read_text()))
    assert failure.exit_code == 2
    assert failure.message == "no such file or directory: /nonexistent/file"


def test_too_little_memory_names_a_way_out() -> None:
    assert "--preset fast" in explain(MemoryError()).message


def test_messages_are_one_line() -> None:
    assert "\n" not in explain(RuntimeError("two\nlines\n\nhere")).message


@pytest.mark.parametrize("kind", ["missing", "directory", "empty"])
def test_require_file_says_what_was_found(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "clip.mp4"
    if kind == "directory":
        path.mkdir()
    if kind == "empty":
        path.touch()
    with pytest.raises(PearError, match=r"clip\.mp4"):
        require_file(path, "video")


def test_messages_are_short_and_steer_no_terminal() -> None:
    message = explain(PearError("caf\udce9 \x1b[31m" + "x" * 5000)).message
    assert len(message) < 1000
    assert message.startswith("caf\\udce9 \\x1b[31m")
    path = explain(FileNotFoundError(errno.ENOENT, "No such file", "\x1b" + "y" * 5000)).message
    assert len(path) < 1000
    assert "\x1b" not in path


@pytest.mark.parametrize(
    "error", [KeyError("K"), TypeError("x"), IndexError(), AttributeError(), RecursionError()]
)
def test_content_of_another_structure_is_the_files_fault(error: Exception) -> None:
    def read() -> None:
        with content_errors(DataFileError, "c.json"):
            raise error

    failure = explain(caught(read))
    assert failure.exit_code == 2
    assert "c.json is not as it should be" in failure.message
