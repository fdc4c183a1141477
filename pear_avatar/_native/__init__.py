"""The C++ core, loaded on first use through ctypes.

The library holds one copy of its kernels for each instruction set (SSE4.1, AVX2 + FMA and AVX-512
on x86-64, one portable build elsewhere) and picks the best that the processor can run. The
environment variable ``PEAR_AVATAR_ISA`` (``sse4``, ``avx2``, ``avx512`` or ``generic``) forces one;
it is read once, at the first call.

Threads come from a small pool of the library's own; see :func:`set_num_threads`. Results never
depend on the number of threads. Forked children begin with a pool of their own.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
from ctypes import POINTER, c_char_p, c_double, c_float, c_int, c_uint32, c_void_p
from pathlib import Path

from pear_avatar.errors import PearError

logger = logging.getLogger(__name__)

_LIBRARY_PATH = Path(__file__).with_name("pear_native.so")
_ABI_VERSION = 4
_REMEDY = "build it with `make install`, or with `pip install .` in the repository's root"

_OUT_OF_MEMORY = 1
_TOO_MANY_PAIRS = 2

# Arrays cross the boundary as plain addresses, so that a torch tensor's data_ptr() will do.
_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "pear_isa": (c_char_p, []),
    "pear_num_threads": (c_int, []),
    "pear_set_num_threads": (None, [c_int]),
    "pear_raster_new": (c_void_p, []),
    "pear_raster_free": (None, [c_void_p]),
    "pear_raster_forward": (
        c_int,
        [c_void_p, c_int, c_int, *[c_void_p] * 8, c_int, c_int, *[c_void_p] * 4],
    ),
    "pear_raster_backward": (c_int, [c_void_p, c_int, *[c_void_p] * 17]),
    "pear_blend": (c_int, [*[c_int] * 3, *[c_void_p] * 2, c_int, *[c_void_p] * 2]),
    "pear_skin_forward": (c_int, [*[c_int] * 4, *[c_void_p] * 12]),
    "pear_skin_backward": (c_int, [*[c_int] * 4, *[c_void_p] * 15]),
    "pear_l1_ssim": (
        c_int,
        [*[c_void_p] * 3, *[c_int] * 3, *[c_float] * 2, POINTER(c_double), c_void_p],
    ),
}

#: Drawing of triangle meshes, looked up on first use.
_MESH_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "pear_mesh_draw": (c_int, [*[c_void_p] * 4, *[c_int] * 4, *[c_void_p] * 2]),
    "pear_mesh_weights": (c_int, [*[c_void_p] * 3, *[c_int] * 4, *[c_void_p] * 2]),
    "pear_mesh_normals": (c_int, [c_void_p, c_int, c_void_p, c_int, c_void_p]),
    "pear_mesh_shade": (
        c_int,
        [
            *[c_void_p] * 4,
            *[c_int] * 4,
            *[c_void_p] * 8,
            c_int,
            c_void_p,
            c_int,
            c_float,
            *[c_void_p] * 2,
        ],
    ),
    "pear_backdrop": (
        c_int,
        [
            *[c_int] * 2,
            *[c_void_p] * 3,
            *[c_int] * 2,
            *[c_void_p] * 2,
            c_int,
            *[c_void_p] * 2,
            c_int,
            c_void_p,
        ],
    ),
    "pear_develop": (c_int, [c_void_p, c_int, c_void_p, c_float, c_float, c_uint32, c_void_p]),
}

#: What a fit does between two pictures, looked up on first use.
_FIT_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "pear_adam": (c_int, [*[c_int] * 2, *[c_void_p] * 5, *[c_double] * 3, c_int]),
    "pear_adam_row": (c_int, [c_int, *[c_void_p] * 7, *[c_double] * 2]),
    "pear_bound_splats": (c_int, [c_int, *[c_void_p] * 8, *[c_float] * 3]),
    "pear_solve_factored": (c_int, [c_int, *[c_void_p] * 5, c_int, c_void_p]),
    "pear_target_over": (c_int, [c_int, *[c_void_p] * 6]),
    "pear_coverage_loss": (
        c_int,
        [c_int, *[c_void_p] * 3, c_float, POINTER(c_double), c_void_p],
    ),
    "pear_chain_forward": (c_int, [c_int, *[c_void_p] * 7]),
    "pear_chain_backward": (c_int, [c_int, *[c_void_p] * 9]),
}


class NativeLibraryError(PearError, ImportError):
    """The C++ core is missing, stale, or cannot run on this processor."""


@functools.cache
def library() -> ctypes.CDLL:
    """The loaded C++ core with typed signatures.

    Raises:
        NativeLibraryError: the library is missing or stale, or ``PEAR_AVATAR_ISA`` names kernels
            that this processor cannot run.
    """
    try:
        lib = ctypes.CDLL(str(_LIBRARY_PATH))
    except OSError as error:
        raise NativeLibraryError(
            f"the C++ core cannot be loaded from {_LIBRARY_PATH} ({error}): {_REMEDY}"
        ) from error
    lib.pear_abi_version.restype = c_int
    found = lib.pear_abi_version()
    if found != _ABI_VERSION:
        raise NativeLibraryError(
            f"{_LIBRARY_PATH} has interface version {found}, this package needs {_ABI_VERSION}: "
            f"{_REMEDY} again"
        )
    _declare(lib, _SIGNATURES)
    if lib.pear_isa() is None:
        raise NativeLibraryError(
            f"PEAR_AVATAR_ISA={os.environ.get('PEAR_AVATAR_ISA')!r} names no kernels that this "
            "processor can run: unset it, or choose among sse4, avx2, avx512 (x86-64) and "
            "generic (other processors)"
        )
    return lib


@functools.cache
def mesh_library() -> ctypes.CDLL:
    """The C++ core with the functions that draw triangle meshes.

    Raises:
        NativeLibraryError: as of :func:`library`, or the library was built before it had them.
    """
    lib = library()
    _declare(lib, _MESH_SIGNATURES)
    return lib


@functools.cache
def fit_library() -> ctypes.CDLL:
    """The C++ core with the functions of a fit's steps.

    Raises:
        NativeLibraryError: as of :func:`library`, or the library was built before it had them.
    """
    lib = library()
    _declare(lib, _FIT_SIGNATURES)
    return lib


@functools.cache
def fit_is_available() -> bool:
    """Whether :func:`fit_library` can be used here; says so once where it cannot."""
    try:
        fit_library()
    except NativeLibraryError as error:
        logger.warning("a fit takes twice the time: %s", error)
        return False
    return True


def _declare(lib: ctypes.CDLL, signatures: dict[str, tuple[type | None, list[type]]]) -> None:
    for name, (result, arguments) in signatures.items():
        try:
            function = getattr(lib, name)
        except AttributeError:
            raise NativeLibraryError(f"{_LIBRARY_PATH} lacks {name}: {_REMEDY} again") from None
        function.restype = result
        function.argtypes = arguments


def is_available() -> bool:
    """Whether the C++ core can be used here."""
    try:
        library()
    except NativeLibraryError:
        return False
    return True


def isa() -> str:
    """Name of the kernels in use: ``sse4``, ``avx2``, ``avx512`` or ``generic``."""
    name: bytes = library().pear_isa()
    return name.decode()


def num_threads() -> int:
    """Threads that one call may use; at first the number of cores this process may run on."""
    return int(library().pear_num_threads())


def set_num_threads(count: int) -> None:
    """Let each call use up to ``count`` threads (at most 64).

    Raises:
        ValueError: ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"the number of threads must be at least 1, not {count}")
    library().pear_set_num_threads(min(count, 64))


def check(status: int) -> None:
    """Turn the status of a call into an exception.

    Raises:
        MemoryError: the call ran out of memory, or its splats overlap more tiles than 2^31.
    """
    if status == _OUT_OF_MEMORY:
        raise MemoryError("the C++ core ran out of memory: use fewer splats or smaller images")
    if status == _TOO_MANY_PAIRS:
        raise MemoryError(
            "the splats overlap more than 2^31 tiles in total: their scales are too large for "
            "this image, or there are too many of them"
        )
