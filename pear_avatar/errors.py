"""The errors that the user can put right, and how the program words any error in one line.

A function raises a kind of :class:`PearError` where it knows that the input is at fault; the
command line and the viewer's server catch it, once each. Any other exception is a defect of the
program, and :func:`explain` reports it as one.
"""

from __future__ import annotations

import errno
import os
import struct
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: The exit codes of the command line, stated here only.
EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_USER_ERROR = 2
#: Some of several inputs could not be used and were skipped; the others were done.
EXIT_SKIPPED = 3
EXIT_INTERRUPTED = 130

_PACKAGE = __name__.partition(".")[0]
#: What content of another structure than expected makes Python and NumPy raise.
_CONTENT_ERRORS = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    struct.error,
    EOFError,
)
#: Characters of the longest message, and of a reason within one.
_LONGEST, _BRIEF = 700, 160
#: What the system refuses, whatever the program does; such errors often name no file.
_SYSTEM_LIMITS = (errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EIO, errno.EAGAIN)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class PearError(ValueError):
    """The input is at fault; the message states what was found and the remedy."""


class ConfigError(PearError):
    """A setting is wrong; the message names it and the values or the nearest key that exist."""


class MissingFileError(PearError, FileNotFoundError):
    """A file or folder that the input names does not exist."""


class MissingPackageError(PearError, ModuleNotFoundError):
    """An optional Python package is not installed; the message states the command for it."""


class MediaError(PearError):
    """A picture or video cannot be used; the message states why and the remedy."""


class MotionFileError(PearError):
    """A motion file cannot be used; the message states why and the remedy."""


class DataFileError(PearError):
    """A file of calibration, detections or ground truth cannot be used; the message states why."""


class DatasetError(DataFileError):
    """A data set's file is not as its distributor describes it; the message names the file."""


class ModelFileError(PearError):
    """A model file cannot be used; the message names file, key, what was found, a remedy."""


class RefusedPickleError(ModelFileError):
    """A pickle asks for something other than plain arrays; nothing of it was run."""


class CheckpointError(ModelFileError):
    """A network's checkpoint cannot be used; the message names the file and the mismatch."""


class AvatarFileError(PearError):
    """An avatar file cannot be used; the message states why and the remedy."""


class ViewerFileError(PearError):
    """A file of the viewer does not match its schema; the message names the entry."""


@dataclass(frozen=True)
class Failure:
    """An exception in words: the process's exit code and one line without a newline."""

    exit_code: int
    message: str

    @property
    def is_defect(self) -> bool:
        """Whether the program is at fault, not the input."""
        return self.exit_code == EXIT_UNEXPECTED


def explain(error: BaseException) -> Failure:
    """Word an exception for the person who ran the command.

    Exit code 2 is for what the user can put right: a :class:`PearError`, a file that is missing
    or may not be read, a full disk, too little memory. Everything else is a defect of the
    program, exit code 1; a ``ValueError`` from NumPy or from a wrong call in the package is one.
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
            "not enough memory: close other programs, or use fewer frames or smaller pictures; "
            "for a fit, --preset fast",
        )
    if isinstance(error, PearError):
        return Failure(EXIT_USER_ERROR, one_line(error))
    if isinstance(error, OSError) and isinstance(error.filename, (str, bytes, os.PathLike)):
        reason = (error.strerror or type(error).__name__).lower()
        return Failure(
            EXIT_USER_ERROR, printable(f"{reason}: {os.fsdecode(error.filename)}"[:_LONGEST])
        )
    if isinstance(error, OSError) and error.errno in _SYSTEM_LIMITS:
        reason = (error.strerror or type(error).__name__).lower()
        return Failure(EXIT_USER_ERROR, f"the system refuses: {reason}; see its limits (ulimit -a)")
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return Failure(EXIT_USER_ERROR, one_line(error))
    return Failure(
        EXIT_UNEXPECTED,
        f"unexpected {type(error).__name__}: {one_line(error)} "
        f"[{_where(error)}] (PEAR_AVATAR_DEBUG=1 shows the traceback)",
    )


def one_line(error: BaseException) -> str:
    """An exception's message without newlines; its type's name where it has no message.

    Names and contents of files reach it: it is short, and no character in it steers a terminal.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 200]} ... {text[-195:]}"
    return printable(text)


def printable(text: str) -> str:
    """Text with control characters, and bytes of names that are not UTF-8, written as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )


@contextmanager
def content_errors(kind: type[PearError], what: str) -> Iterator[None]:
    """Word whatever a file's content makes its reader raise: the content is at fault.

    For short readers of files from elsewhere, whose structure any value may contradict.

    Args:
        kind: what is raised in the place of Python's own exceptions.
        what: the file, and what it should hold, for the message.
    """
    try:
        yield
    except (PearError, OSError):
        raise
    except _CONTENT_ERRORS as error:
        reason = one_line(error)[:_BRIEF]
        if isinstance(error, KeyError):
            reason = f"{reason} is missing"
        raise kind(f"{what} is not as it should be ({reason})") from error


def require_file(path: str | Path, what: str) -> Path:
    """The path, if it is a file that can be read.

    Args:
        path: a file named by the user.
        what: its role in the message, such as ``"video"``.

    Raises:
        MissingFileError: it does not exist.
        PearError: it is a directory, is empty or may not be read.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"no such {what}: {path} (looked in {path.absolute().parent})")
    if path.is_dir():
        raise PearError(f"{path} is a directory: name a {what} file inside it")
    if not os.access(path, os.R_OK):
        raise PearError(f"{path} may not be read: change its permissions")
    if path.is_file() and path.stat().st_size == 0:
        raise PearError(f"{path} is an empty file: name another {what}")
    return path


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
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in text)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (type(error).__name__ == "error" and "Insufficient memory" in text)  # OpenCV's own
    )


def _of_file(error: BaseException) -> str:
    filename = getattr(error, "filename", None)
    return f" ({printable(str(filename))})" if filename else ""


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f"{os.sep}{_PACKAGE}{os.sep}" in f.filename]
    if not (ours or frames):
        return "no traceback"
    last = (ours or list(frames))[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
