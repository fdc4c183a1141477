"""Nested dictionaries and lists of arrays -> views of flat arrays, the outermost first.

``{"smplx_coeffs": {"body_pose": ...}}`` becomes ``smplx_coeffs/body_pose``. Programs wrap their
motions in many ways: one dictionary for each person, each clip or each frame, lists of these, an
array of one object. Every dictionary on the way is one view, and a row of dictionaries that hold
one frame each is stacked to one more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.arrays import MAX_FRAMES, PoseArrays

__all__ = ["BARE", "Budget", "plain_array", "views_of_tree"]

#: Name of a file's single array, which has none itself.
BARE = "array"

_MAX_DEPTH = 6
_MAX_ARRAYS = 10_000
_MAX_VIEWS = 64
_MAX_TEXT = 256

#: Bytes that the arrays of one file may fill once they are unpacked, repeats included.
MAX_BYTES = 1 << 30

#: Keys whose arrays give the number of frames of a dictionary, and the sizes of one frame there.
_ROOT_KEYS = frozenset(
    ("global_orient", "root_orient", "root_pose", "global_pose", "poses_root", "pred_global_orient")
)
_POSE_KEYS = frozenset(
    ("body_pose", "pose_body", "poses_body", "fullpose", "poses", "pose", "rotvec", "smpl_thetas",
     "thetas", "pose_params", "jaw_params", "pred_pose", "pose_aa", "poses_world", "pose_world")
)  # fmt: skip
_ONE_ROOT = frozenset((3, 4, 9))
#: More dictionaries than these side by side are a row of frames, looked at on its own.
_ROW = 16
_KEYPOINTS = re.compile(r"(keypoints|joints|points|landmarks)_?3d(_xyz)?$", re.IGNORECASE)
#: Keys whose frames must all be there: a gap in them cannot be left out silently.
_PARTS = ("smplx_coeffs/", "flame_coeffs/")


class Budget:
    """Counts the bytes that a file's arrays fill, and refuses a file that fills too many.

    Small files can hold one large array many times, or none at all with a large shape.
    """

    def __init__(self, name: str, limit: int = MAX_BYTES) -> None:
        self._name, self._left, self._limit = name, limit, limit

    def take(self, size: int) -> None:
        """Count ``size`` more bytes; raises MotionFileError beyond the limit."""
        self._left -= size
        if self._left < 0:
            raise MotionFileError(
                f"{self._name}: unpacks to more than {self._limit >> 20} MB, more than any motion "
                "needs; the file is refused"
            )


def views_of_tree(name: str, tree: Any, budget: Budget | None = None) -> list[PoseArrays]:
    """Every dictionary of a tree as flat arrays, the outermost first.

    Raises MotionFileError where there is no dictionary, or too much of everything.
    """
    budget = budget or Budget(name)
    bare = bare_points(tree, budget)
    if bare is not None:
        return [PoseArrays(name, {BARE: bare})]
    views: list[PoseArrays] = []
    queue: list[tuple[str, Any, int]] = [("", tree, 0)]
    for group, (key, node, depth) in enumerate(queue):  # grows while it is walked
        if len(views) >= _MAX_VIEWS or depth > _MAX_DEPTH:
            break
        views += _views_of_node(name, key, node, group, budget)
        if not (views and views[-1].records and views[-1].arrays):
            queue += [(k, v, depth + 1) for k, v in _children(node)[:_MAX_VIEWS]]
    if not views:
        raise MotionFileError(f"{name}: holds no dictionary of arrays")
    if not any(view.arrays or view.records for view in views):
        raise MotionFileError(f"{name}: holds no arrays")
    return views


def bare_points(tree: Any, budget: Budget) -> np.ndarray | None:
    """The array of a list of frames of points, each [x, y, z] or {"x": .., "y": .., "z": ..}."""
    if not isinstance(tree, (list, tuple)) or not tree:
        return None
    first = tree[0]
    if isinstance(first, (list, tuple)) and first and isinstance(first[0], Mapping):
        if not {"x", "y", "z"} <= set(first[0]):
            return None
        budget.take(32 * len(tree) * len(first))
        width = ("x", "y", "z", *(k for k in ("visibility", "confidence") if k in first[0]))
        try:
            tree = [[[float(point[k]) for k in width] for point in frame] for frame in tree]
        except (KeyError, TypeError, ValueError):
            return None
    found = plain_array(tree, budget)
    return found if found is not None and found.dtype.kind in "fiu" and found.ndim > 1 else None


def _views_of_node(
    name: str, key: str, node: Any, group: int, budget: Budget
) -> Iterator[PoseArrays]:
    records = _records(node)
    if isinstance(node, Mapping) and not _is_row(records):
        yield PoseArrays(name, dict(_leaves(name, node, "", budget)), key=key)
        return
    if not records:
        return
    arrays = _stacked(name, [record for _, record in records], budget)
    numbers = frame_numbers([k for k, _ in records])
    yield PoseArrays(name, arrays, key=key, records=records, numbers=numbers)
    if not arrays:
        for k, record in records[:_MAX_VIEWS]:
            flat = dict(_leaves(name, record, "", budget))
            yield PoseArrays(name, flat, key=str(k), group=group)


def _is_row(records: list[tuple[Any, Mapping[Any, Any]]]) -> bool:
    """Whether dictionaries in a dictionary are alike: frames or people, not two kinds of things."""
    return len(records) > 3 or (
        len(records) > 1 and frame_numbers([k for k, _ in records]) is not None
    )


def _children(node: Any) -> list[tuple[str, Any]]:
    """What lies one level deeper and is not yet a view of its own."""
    if isinstance(node, Mapping):
        inner = [(str(k), v) for k, v in node.items()]
    elif isinstance(node, (list, tuple)):
        inner = [(str(k), v) for k, v in enumerate(node)]
    else:
        return []
    return [(k, v) for k, v in inner if isinstance(v, (Mapping, list, tuple))]


def _records(node: Any) -> list[tuple[Any, Mapping[Any, Any]]]:
    """The dictionaries side by side in a dictionary or list, if there is nothing else.

    A list of one dictionary stands for that dictionary: an image with one person in it.
    """
    if isinstance(node, Mapping):
        items = list(node.items())
    elif isinstance(node, (list, tuple)):
        items = list(enumerate(node))
    else:
        return []
    items = [(k, _single(v)) for k, v in items if not _is_empty(v)]
    if not items or not all(isinstance(v, Mapping) for _, v in items):
        return []
    shared = set.intersection(*(set(v) for _, v in items))
    return items if shared else []


def _is_empty(value: Any) -> bool:
    return isinstance(value, (list, tuple, Mapping)) and not value


def _single(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and len(value) == 1 and isinstance(value[0], Mapping):
        return value[0]
    return value


def frame_numbers(keys: list[Any]) -> np.ndarray | None:
    """(N,) increasing whole numbers in the keys or names of frames; None where there are none."""
    found = [k if isinstance(k, int) else _last_number(str(k)) for k in keys]
    if any(n is None for n in found):
        return None
    numbers = np.array(found, np.float64)
    return numbers if (np.diff(numbers) > 0).all() else None


def _last_number(text: str) -> int | None:
    """The last number in a file's name without its ending; at most 15 digits."""
    stem = re.sub(r"\.[a-z]{2,4}$", "", text.replace("\\", "/").rsplit("/", 1)[-1], flags=re.I)
    digits = re.findall(r"\d{1,15}", stem)
    return int(digits[-1]) if digits else None


def _leaves(
    name: str, tree: Mapping[Any, Any], prefix: str, budget: Budget
) -> Iterator[tuple[str, np.ndarray]]:
    if prefix.count("/") > _MAX_DEPTH:
        raise MotionFileError(f"{name}: dictionaries are nested too deeply")
    for count, (key, value) in enumerate(tree.items()):
        if count > _MAX_ARRAYS:
            raise MotionFileError(f"{name}: more than {_MAX_ARRAYS} entries; this is no motion")
        value = _single(value)
        if isinstance(value, Mapping) and len(_records(value)) > _ROW:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(name, value, f"{prefix}{key}/", budget)
            continue
        array = plain_array(value, budget)
        if array is not None:
            yield f"{prefix}{key}", array


def plain_array(value: Any, budget: Budget) -> np.ndarray | None:
    """A plain array of numbers or short text, or None."""
    if hasattr(value, "untyped_storage"):
        return _of_tensor(value, budget)
    if isinstance(value, str):
        return np.asarray(value) if len(value) <= _MAX_TEXT else None
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "fiubUS" else None
    if isinstance(value, (np.generic, int, float, bool)):
        array = np.asarray(value)
    elif isinstance(value, (list, tuple)) and value:
        return _of_list(value, budget)
    else:
        return None
    return array if array.dtype.kind in "fiubUS" else None


def _of_tensor(value: Any, budget: Budget) -> np.ndarray | None:
    import torch

    if value.is_sparse or value.is_quantized:
        return None
    budget.take(value.numel() * 8)  # a small storage can claim any shape with strides of 0
    dtype = torch.float64 if value.is_floating_point() else None
    array: np.ndarray = value.detach().to(dtype=dtype).resolve_conj().numpy()
    return array


def _of_list(value: Sequence[Any], budget: Budget) -> np.ndarray | None:
    """An array from numbers, names, or equal arrays in lists."""
    if all(isinstance(v, str) for v in value):
        width = max(len(v) for v in value)
        if width > _MAX_TEXT:
            return None
        budget.take(4 * width * len(value))
        return np.array(value)
    if all(isinstance(v, (int, float, np.generic)) for v in value):
        budget.take(8 * len(value))
        array = np.array(value)
        return array if array.dtype.kind in "fiubUS" else None
    rows = [plain_array(v, budget) if not isinstance(v, str) else None for v in value]
    first = rows[0]
    if first is None or any(
        r is None or r.shape != first.shape or r.dtype.kind not in "fiub" for r in rows
    ):
        return None
    budget.take(8 * first.size * len(rows))
    return np.stack([r for r in rows if r is not None])


def _is_one_frame(record: Mapping[str, np.ndarray]) -> bool:
    """Whether the arrays of a dictionary are those of a single frame."""
    last = {key.rsplit("/", 1)[-1]: array for key, array in record.items()}
    roots = [last[key] for key in _ROOT_KEYS if key in last]
    if roots:
        return roots[0].size in _ONE_ROOT and roots[0].shape[-1] in _ONE_ROOT
    poses = [last[key] for key in _POSE_KEYS if key in last]
    if poses:
        return poses[0].ndim < 2 or poses[0].shape[0] == 1 or poses[0].shape[-1] in (3, 4)
    return any(_KEYPOINTS.search(key) and array.ndim == 2 for key, array in last.items())


def _stacked(name: str, frames: list[Mapping[Any, Any]], budget: Budget) -> dict[str, np.ndarray]:
    """Arrays of dictionaries that hold one frame each; none where they hold something else."""
    if len(frames) > MAX_FRAMES:
        raise MotionFileError(f"{name}: more than the {MAX_FRAMES} frames that are read")
    first = dict(_leaves(name, frames[0], "", Budget(name)))
    if not _is_one_frame(first):
        return {}
    rows: dict[str, list[np.ndarray]] = {}
    for frame in frames:
        for key, array in _leaves(name, frame, "", budget):
            if array.dtype.kind in "fiub":
                budget.take(8 * array.size)
                rows.setdefault(key, []).append(array)
    if any(_several_people(key, found) for key, found in rows.items()):
        return {}
    rows = {key: [without_batch(array) for array in found] for key, found in rows.items()}
    return {key: np.stack(found) for key, found in rows.items() if _agree(name, key, found, frames)}


def _several_people(key: str, found: list[np.ndarray]) -> bool:
    """Whether a pose has another number of rows in each frame: one for each person seen."""
    if key.rsplit("/", 1)[-1] not in _ROOT_KEYS | _POSE_KEYS:
        return False
    shapes = {array.shape for array in found if array.ndim > 1}
    return len({shape[0] for shape in shapes}) > 1 and len({shape[1:] for shape in shapes}) == 1


def _agree(name: str, key: str, found: list[np.ndarray], frames: list[Any]) -> bool:
    """Whether an array is in every frame with one shape; of a tracker's parts it must be."""
    shapes = {array.shape for array in found}
    needed = key.startswith(_PARTS) or key in _ROOT_KEYS or key in _POSE_KEYS
    if len(shapes) > 1 and needed:
        raise MotionFileError(f"{name}: {key} has different shapes in its frames: {shapes}")
    if len(found) != len(frames) and needed:
        raise MotionFileError(
            f"{name}: {key} is in {len(found)} of {len(frames)} frames; cut the others out"
        )
    return len(shapes) == 1 and len(found) == len(frames)


def without_batch(array: np.ndarray) -> np.ndarray:
    """One frame without the batch axis of one that trackers leave on it."""
    return array[0] if array.ndim > 1 and array.shape[0] == 1 else array
