"""Recover people from pictures, folders and videos: parameters, joints, meshes, overlays."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from pear_avatar.commands.recover_inputs import MediaInput, pictures_in
from pear_avatar.commands.recover_outputs import (
    MAX_DRAWN_SIDE,
    MeshKind,
    PersonTrack,
    draw_people,
    write_person,
)
from pear_avatar.errors import MediaError, PearError, one_line
from pear_avatar.io.atomic import write_text_atomic
from pear_avatar.io.images import is_still_picture, read_image, write_image
from pear_avatar.recovery.recovered import RecoveredPerson
from pear_avatar.recovery.recoverer import Recoverer
from pear_avatar.types import BodyParams, Camera, Motion, ProgressFn, Track

__all__ = ["RecoverOptions", "RecoverSummary", "Skipped", "choose_person", "recover_pictures"]

_log = logging.getLogger(__name__)

Smoothing = Literal["auto", "one-euro", "gaussian", "off"]

_SHEET_COLUMNS, _SHEET_CELL, _SHEET_MOST = 4, (420, 280), 48
_PAPER, _INK = 24, (235, 235, 235)


@dataclass(frozen=True)
class RecoverOptions:
    """What to recover and what to write.

    everyone: all people; otherwise the largest, or the one chosen.
    person:   the n-th largest, from 0; None for the largest.
    box:      (x0, y0, x1, y1) pixels in which the person is looked for.
    mesh:     kind of mesh file, "none" for joints and parameters only.
    smooth:   over the frames of a video; "auto" is the one-euro filter.
    overlay:  draw what was found over the input.
    max_frames: at most so many frames of a video, evenly over its length.
    camera:   calibrated camera of all inputs; None assumes a usual lens.
    """

    everyone: bool = False
    person: int | None = None
    box: tuple[float, float, float, float] | None = None
    mesh: MeshKind = "glb"
    smooth: Smoothing = "auto"
    overlay: bool = True
    max_frames: int | None = None
    camera: Camera | None = None

    @property
    def all_people_needed(self) -> bool:
        """Whether all people must be found, be it to choose one of them."""
        return self.everyone or self.person is not None


@dataclass(frozen=True)
class Skipped:
    """An input that could not be used, and one line that says why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class RecoverSummary:
    """What was done: where the results are, how many inputs and people, what was skipped."""

    folder: Path
    inputs: int
    people: int
    skipped: tuple[Skipped, ...] = ()


def recover_pictures(
    source: MediaInput,
    out: Path,
    options: RecoverOptions,
    recoverer: Recoverer,
    *,
    progress: ProgressFn | None = None,
) -> RecoverSummary:
    """Recover a picture, or all pictures of a folder; one bad file does not stop the others.

    Raises:
        MediaError: the only picture cannot be used.
    """
    root = Path(source.source)
    paths = pictures_in(root) if source.kind == "folder" else [root]
    report = progress or (lambda *_: None)
    skipped: list[Skipped] = []
    cells: list[tuple[str, np.ndarray]] = []
    people = 0
    for done, path in enumerate(paths, 1):
        stem = _stem(out, root, path)
        try:
            drawn, count = _recover_picture(path, stem, options, recoverer)
        except PearError as error:
            if source.kind == "picture":
                raise
            skipped.append(Skipped(path, one_line(error)))
        else:
            people += count
            if drawn is not None and len(cells) < _SHEET_MOST:
                cells.append((path.name, drawn))
        report("recover", done, len(paths))
    if len(cells) > 1:
        write_image(out / "contact_sheet.jpg", contact_sheet(cells))
    if skipped:
        text = "skipped by pear-avatar\n" + "".join(f"{s.path}\t{s.reason}\n" for s in skipped)
        write_text_atomic(out / "skipped.txt", text)
    return RecoverSummary(out, len(paths), people, tuple(skipped))


def _stem(out: Path, root: Path, path: Path) -> Path:
    """Where a picture's results go; a folder's sub-folders are kept.

    Pictures that differ only in their ending (a.jpg, a.png) keep it in their results' names.
    """
    if path == root:
        return out / path.stem
    twins = [p for p in path.parent.glob(f"{path.stem}.*") if p != path and is_still_picture(p)]
    name = path.name.replace(".", "_") if twins else path.stem
    return out / path.parent.relative_to(root) / name


def _recover_picture(
    path: Path, stem: Path, options: RecoverOptions, recoverer: Recoverer
) -> tuple[np.ndarray | None, int]:
    """Recover and write one picture; the drawing (None without overlays) and the people."""
    rgb = read_image(path)
    found = recoverer(
        rgb, everyone=options.all_people_needed, box=options.box, camera=options.camera
    )
    if not len(found):
        height, width = rgb.shape[:2]
        raise MediaError(
            f"{path}: no person found ({width} x {height} pixels); a person should be well lit "
            "and fill a good part of the picture, or say where with --box"
        )
    chosen = choose_person(list(found), options, str(path))
    people = [picture_result(p, recoverer, path.name) for p in chosen]
    for person in people:
        name = stem if len(people) == 1 else stem.with_name(f"{stem.name}_{person.identity}")
        write_person(name, person, options.mesh)
    if not options.overlay:
        return None, len(people)
    drawn = draw_people(_scale_down(rgb), people, 0, mesh=options.mesh != "none")
    write_image(stem.with_name(f"{stem.name}_overlay.jpg"), drawn)
    return drawn, len(people)


def choose_person(
    people: Sequence[RecoveredPerson], options: RecoverOptions, where: str
) -> list[RecoveredPerson]:
    """All people, or the one that was asked for.

    Raises:
        PearError: there are not that many.
    """
    if options.everyone or options.person is None:
        return list(people)
    if options.person >= len(people):
        raise PearError(
            f"{where}: person {options.person} was asked for, but only {len(people)} found "
            "(they are numbered from 0, largest first)"
        )
    return [people[options.person]]


def picture_result(person: RecoveredPerson, recoverer: Recoverer, name: str) -> PersonTrack:
    """A person of a picture as a track of one frame."""
    p = person.params
    params = BodyParams(p.betas, p.expression[None], p.rotations[None], p.transl[None])
    camera = replace(
        person.camera, K=person.camera.K[None], T_camera_world=person.camera.T_camera_world[None]
    )
    trusted = np.array([person.reason == ""])
    track = Track(
        Motion(params, np.zeros(1), name),
        camera,
        np.zeros(1, np.int64),
        trusted,
        np.full(1, np.nan),
        person.proportions,
    )
    return PersonTrack(
        person.identity,
        track,
        recoverer.source.body.person(person.proportions),
        np.array([person.confidence]),
        person.box_xyxy[None],
        (person.reason,),
    )


def _scale_down(rgb: np.ndarray) -> np.ndarray:
    """A copy no longer than drawings may be."""
    zoom = min(1.0, MAX_DRAWN_SIDE / max(rgb.shape[:2]))
    if zoom == 1.0:
        return rgb
    size = (max(2, round(rgb.shape[1] * zoom)), max(2, round(rgb.shape[0] * zoom)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def contact_sheet(cells: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Pictures (H, W, 3) uint8 with their names below, in rows."""
    width, height = _SHEET_CELL
    label = 22
    rows = -(-len(cells) // _SHEET_COLUMNS)
    columns = min(_SHEET_COLUMNS, len(cells))
    sheet = np.full((rows * (height + label), columns * width, 3), _PAPER, np.uint8)
    for k, (name, picture) in enumerate(cells):
        zoom = min(width / picture.shape[1], height / picture.shape[0])
        size = (max(1, int(picture.shape[1] * zoom)), max(1, int(picture.shape[0] * zoom)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        y, x = k // _SHEET_COLUMNS * (height + label), k % _SHEET_COLUMNS * width
        x0, y0 = x + (width - size[0]) // 2, y + (height - size[1]) // 2
        sheet[y0 : y0 + size[1], x0 : x0 + size[0]] = small
        at = (x + 8, y + height + label - 7)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(sheet, name[:52], at, font, 0.42, _INK, thickness=1, lineType=cv2.LINE_AA)
    return sheet
