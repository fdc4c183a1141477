"""What goes wrong at the package's boundaries, and how to say it in one line.

Public functions raise :class:`PearError` (a ``ValueError``) or ``FileNotFoundError`` where the
input is at fault; :func:`explain` turns any exception into an exit code and one line of text.
"""

from __future__ import annotations

import dis
import errno
import os
import traceback
from dataclasses import dataclass
from pathlib import Path

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_USER_ERROR = 2
#: Some of several inputs could not be used and were skipped; the others were done.
EXIT_SKIPPED = 3
EXIT_INTERRUPTED = 130

_PACKAGE = __name__.partition(".")[0]
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_RAISE = dis.opmap["RAISE_VARARGS"]


class PearError(ValueError):
    """The input is at fault; the message says what was found and what to do about it."""


class ConfigError(PearError):
    """A configuration key or value is wrong; the message names it and the nearest right one."""


class MediaError(PearError):
    """A picture or video cannot be used; the message says why and what to do."""


class MotionFileError(PearError):
    """A motion file cannot be used; the message says why and what to do."""


class ModelFileError(PearError):
    """A model file cannot be used; the message names file, key, what was found, a remedy."""


class RefusedPickleError(ModelFileError):
    """A pickle that asks for something other than plain arrays; nothing of it was run."""


class CheckpointError(ModelFileError):
    """A network's checkpoint cannot be used; the message names the file and the mismatch."""


class AvatarFileError(PearError):
    """An avatar file cannot be used; the message says why and what to do."""


class ViewerFileError(PearError):
    """A file of the viewer is not as its schema says; the message names the entry."""


@dataclass(frozen=True)
class Failure:
    """An exception put into words: the process's exit code and one line without a newline."""

    exit_code: int
    message: str


def explain(error: BaseException) -> Failure:
    """Say what an exception means to the person who ran the command.

    Exit code 2 is for what the user can put right: wrong input, a missing file, a full disk,
    too little memory. Everything else is a fault of the program, exit code 1.
    """
    if _is_disk_full(error):
        return Failure(
            EXIT_USER_ERROR,
            f"the disk is full{_of_file(error)}: free some space and run the same command again; "
            "what was finished is kept",
        )
    if _is_out_of_memory(error):
        return Failure(
            EXIT_USER_ERROR,
            "not enough memory: try --preset fast, or --device cpu if the GPU ran out",
        )
    if isinstance(error, OSError) and error.filename is not None:
        reason = (error.strerror or type(error).__name__).lower()
        return Failure(EXIT_USER_ERROR, f"{reason}: {error.filename}")
    if isinstance(error, (ValueError, FileNotFoundError, ImportError)) and _raised_on_purpose(
        error
    ):
        return Failure(EXIT_USER_ERROR, _one_line(str(error)))
    return Failure(
        EXIT_UNEXPECTED,
        f"unexpected {type(error).__name__}: {_one_line(str(error))} "
        f"[{_where(error)}] (PEAR_AVATAR_DEBUG=1 shows the traceback)",
    )


def require_file(path: str | Path, what: str) -> Path:
    """The path, if it is a file that can be read.

    Args:
        path: a file named by the user.
        what: its role in the message, such as ``"video"``.

    Raises:
        PearError: it does not exist, is a directory, is empty or may not be read.
    """
    path = Path(path)
    if not path.exists():
        raise PearError(f"no such {what}: {path} (looked in {path.absolute().parent})")
    if path.is_dir():
        raise PearError(f"{path} is a directory: name a {what} file inside it")
    if not os.access(path, os.R_OK):
        raise PearError(f"{path} may not be read: change its permissions")
    if path.is_file() and path.stat().st_size == 0:
        raise PearError(f"{path} is an empty file: name another {what}")
    return path


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return True
    # safetensors and torch report the same condition as their own exception types.
    text = str(error)
    return "No space left on device" in text or "os error 28" in text


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator: can't allocate memory" in text
    )


def _of_file(error: BaseException) -> str:
    filename = getattr(error, "filename", None)
    return f" ({filename})" if filename else ""


def _raised_on_purpose(error: BaseException) -> bool:
    """Whether a ``raise`` statement of this package made the exception.

    A ValueError that our code raises is about the input. One that fell out of NumPy or torch
    under our feet is a bug, and blaming the user for it would hide it.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return isinstance(error, PearError)
    frame = frames[-1][0]
    module = str(frame.f_globals.get("__name__", ""))
    instruction = frame.f_code.co_code[_last_instruction(error)]
    return module.partition(".")[0] == _PACKAGE and instruction == _RAISE


def _last_instruction(error: BaseException) -> int:
    tb = error.__traceback__
    assert tb is not None
    while tb.tb_next is not None:
        tb = tb.tb_next
    return tb.tb_lasti


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f"{os.sep}{_PACKAGE}{os.sep}" in f.filename]
    if not (ours or frames):
        return "no traceback"
    last = (ours or list(frames))[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
