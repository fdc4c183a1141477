"""One network file, run by LiteRT on this machine's processor."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np

from pear_avatar.errors import MissingPackageError

__all__ = ["Network", "import_litert"]

_log = logging.getLogger(__name__)


class Network:
    """A network with one input, of the name of its file in ``networks/models``.

    Several threads may share one; their runs queue.

    Attributes:
        size: its input is (1, size, size, 3), or (1, size, 2) for a network of points.

    Args:
        name: of the file, without its ending.
        threads: that one run may use.
    """

    def __init__(self, name: str, *, threads: int = 1) -> None:
        content = files("pear_avatar.perception.networks").joinpath(f"models/{name}.tflite")
        interpreter_class = import_litert()
        self._lock = threading.Lock()
        with silent_stderr():
            self._run = interpreter_class(model_content=content.read_bytes(), num_threads=threads)
            self._run.allocate_tensors()
            self._input = self._run.get_input_details()[0]["index"]
            shape = self._run.get_input_details()[0]["shape"]
            self._outputs = [detail["index"] for detail in self._run.get_output_details()]
            self(np.zeros(shape, np.float32))
        self.size = int(shape[1])

    def __call__(self, values: np.ndarray) -> list[np.ndarray]:
        """The outputs, in the file's order, for an input of the network's shape."""
        with self._lock:
            self._run.set_tensor(self._input, values.astype(np.float32, copy=False))
            self._run.invoke()
            return [self._run.get_tensor(index) for index in self._outputs]


def import_litert() -> Any:
    """LiteRT's interpreter class.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    try:
        with silent_stderr():
            from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"{error.name} is not installed: pip install 'ai-edge-litert>=2,<3'"
        ) from error
    return Interpreter


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Keep what C++ libraries write to the process's stderr out of the terminal.

    Their messages bypass Python and cannot be switched off; they go to the debug log.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as sink:
        saved = os.dup(2)
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            sink.seek(0)
            text = sink.read().decode("utf-8", "replace").strip()
            if text:
                _log.debug("%s", text)
