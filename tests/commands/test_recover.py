"""Recovery of pictures, folders and videos: what is written, who is chosen, what is skipped."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_source import BoxSource
from PIL import Image

from pear_avatar.commands.recover import RecoverOptions, contact_sheet, recover_pictures
from pear_avatar.commands.recover_inputs import resolve_input
from pear_avatar.commands.recover_live import recover_live
from pear_avatar.commands.recover_video import recover_video
from pear_avatar.errors import MediaError, PearError
from pear_avatar.io.images import (
    read_image,
)
from pear_avatar.io.video import VideoWriter, probe_video
from pear_avatar.live.capture import LiveSource
from pear_avatar.motion.formats.registry import load_motion
from pear_avatar.motion.track_file import load_track
from pear_avatar.perception.detectors import Detectors, load_detectors
from pear_avatar.perception.measure import person_boxes
from pear_avatar.perception.picture import DetectedPerson
from pear_avatar.recovery.recoverer import Recoverer
from pear_avatar.types import ClipDetections

WIDTH, HEIGHT = 480, 320


def seen(box: tuple[int, int, int, int], width: int, height: int, hue: int) -> DetectedPerson:
    """A person whose landmarks fill a box."""
    x0, y0, x1, y1 = box
    rng = np.random.default_rng(0)
    unit = rng.random((33, 2))
    unit[:2] = (0, 0), (1, 1)
    px = (np.array([x0, y0]) + unit * [x1 - x0, y1 - y0]).astype(np.float32)
    pose = np.concatenate([px, np.ones((33, 1), np.float32)], 1)[None]
    none = np.zeros(1, np.float32)
    colors = np.eye(256, dtype=np.float32)[hue]
    return DetectedPerson(
        ClipDetections(
            frame_index=np.zeros(1, np.int64),
            time=np.zeros(1),
            pose_px=pose[..., :2],
            pose_confidence=np.ones((1, 33), np.float32),
            pose_world=np.zeros((1, 33, 3), np.float32),
            left_hand_px=np.zeros((1, 21, 2), np.float32),
            left_hand_confidence=none,
            right_hand_px=np.zeros((1, 21, 2), np.float32),
            right_hand_confidence=none,
            face_px=np.zeros((1, 478, 2), np.float32),
            face_confidence=none,
            box_xyxy=person_boxes(pose, np.array([True]), width, height),
            trusted=np.ones(1, bool),
            reason=np.array([""]),
            width=width,
            height=height,
        ),
        colors,
    )


class Blocks:
    """Stands in for the networks: people are upright blocks of red or blue."""

    detectors = load_detectors()

    def everyone(self, rgb: np.ndarray) -> list[DetectedPerson]:
        height, width = rgb.shape[:2]
        found = []
        for hue, channel in ((0, 0), (1, 2)):
            rest = rgb[..., [c for c in range(3) if c != channel]].max(-1)
            mask = (rgb[..., channel] > 180) & (rest < 90)
            if mask.sum() < 60:
                continue
            rows, columns = np.nonzero(mask)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            # Lying blocks are people in a picture that was turned: not recognised.
            if box[3] - box[1] > box[2] - box[0]:
                found.append(seen(box, width, height, hue))
        return sorted(found, key=lambda p: -p.area)

    def largest(self, rgb: np.ndarray) -> DetectedPerson | None:
        return next(iter(self.everyone(rgb)), None)

    def in_box(self, rgb: np.ndarray, box: np.ndarray) -> DetectedPerson | None:
        for person in self.everyone(rgb):
            middle = (person.box_xyxy[:2] + person.box_xyxy[2:]) / 2
            if (middle > np.asarray(box)[:2]).all() and (middle < np.asarray(box)[2:]).all():
                return person
        return None

    def close(self) -> None: ...


@pytest.fixture
def recoverer() -> Recoverer:
    return Recoverer(BoxSource(), Blocks())  # type: ignore[arg-type]


def scene(red: int | None = 100, blue: int | None = None, width: int = WIDTH) -> np.ndarray:
    """Grey, with a large red and a smaller blue block at these columns."""
    picture = np.full((HEIGHT, width, 3), 120, np.uint8)
    if red is not None:
        picture[60:290, red : red + 80] = (230, 20, 20)
    if blue is not None:
        picture[120:260, blue : blue + 50] = (20, 20, 230)
    return picture


def save(path: Path, picture: np.ndarray, **options: object) -> Path:
    Image.fromarray(picture).save(path, **options)
    return path


def box_of(npz: Path) -> np.ndarray:
    """Where a recovered person is seen, from the joints beside the parameters."""
    joints = json.loads(npz.with_name(f"{npz.stem}_joints.json").read_text())
    return np.array(joints["box_xyxy"])


def test_a_picture_gives_parameters_joints_mesh_and_overlay(
    tmp_path: Path, recoverer: Recoverer
) -> None:
    picture = save(tmp_path / "me.png", scene())
    out = tmp_path / "out"
    found = recover_pictures(resolve_input(str(picture)), out, RecoverOptions(), recoverer)
    assert (found.people, found.skipped) == (1, ())
    names = {"me.npz", "me_joints.json", "me.glb", "me_overlay.jpg"}
    assert {p.name for p in out.iterdir()} == names
    assert load_motion(out / "me.npz").params.num_frames == 1
    assert load_track(out / "me.npz").camera.width == WIDTH
    joints = json.loads((out / "me_joints.json").read_text())
    head, foot = (np.array(joints["joints_px"][n]) for n in ("head", "left_foot"))
    assert 60 < head[1] < foot[1] < 320
    assert 90 < head[0] < 190
    overlay = read_image(out / "me_overlay.jpg")
    assert overlay.shape[:2] == (HEIGHT, WIDTH + HEIGHT // 2)
    # The body is drawn over the block: what was red is no longer.
    assert overlay[150, 140, 0] < 180


def test_joints_only_writes_no_mesh(tmp_path: Path, recoverer: Recoverer) -> None:
    picture = save(tmp_path / "me.png", scene())
    options = RecoverOptions(mesh="none", overlay=False)
    recover_pictures(resolve_input(str(picture)), tmp_path / "out", options, recoverer)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"me.npz", "me_joints.json"}


def test_who_is_recovered(tmp_path: Path, recoverer: Recoverer) -> None:
    picture = save(tmp_path / "two.png", scene(red=60, blue=350))
    out = tmp_path / "out"

    def middle(stem: str, **options: object) -> float:
        recover_pictures(
            resolve_input(str(picture)), out, RecoverOptions(mesh="none", **options), recoverer
        )
        box = box_of(out / f"{stem}.npz")
        return float(box[0] + box[2]) / 2

    assert middle("two") == pytest.approx(100, abs=3)
    assert middle("two", person=1) == pytest.approx(375, abs=3)
    assert middle("two", box=(330.0, 80.0, 440.0, 300.0)) == pytest.approx(375, abs=3)
    assert middle("two_0", everyone=True) == pytest.approx(100, abs=3)
    assert box_of(out / "two_1.npz")[0] > 300
    with pytest.raises(PearError, match="person 2 was asked for, but only 2 found"):
        middle("two", person=2)


@pytest.mark.parametrize("turns", [1, 3])
def test_a_turned_picture_is_recovered_where_it_shows_the_person(
    tmp_path: Path, recoverer: Recoverer, turns: int
) -> None:
    upright = scene(red=60)
    picture = save(tmp_path / "turned.png", np.rot90(upright, turns))
    out = tmp_path / "out"
    recover_pictures(resolve_input(str(picture)), out, RecoverOptions(), recoverer)
    given = np.rot90(upright, turns)
    rows, columns = np.nonzero(given[..., 0] > 200)
    x0, y0, x1, y1 = box_of(out / "turned.npz")
    assert abs((x0 + x1) / 2 - columns.mean()) < 2
    assert abs((y0 + y1) / 2 - rows.mean()) < 2
    joints = json.loads((out / "turned_joints.json").read_text())["joints_px"]
    spine = np.array(joints["spine2"])
    assert np.abs(spine - (columns.mean(), rows.mean())).max() < 40


def test_one_bad_file_does_not_stop_a_folder(tmp_path: Path, recoverer: Recoverer) -> None:
    folder = tmp_path / "album"
    (folder / "more").mkdir(parents=True)
    save(folder / "good.jpg", scene(), quality=95)
    save(folder / "more" / "also.png", scene(red=200))
    (folder / "broken.jpg").write_bytes((folder / "good.jpg").read_bytes()[:300])
    (folder / "text.png").write_text("not a picture")
    (folder / "empty.png").write_bytes(b"")
    save(folder / "nobody.png", scene(red=None))
    save(folder / "sliver.png", scene()[:, 120:128])
    (folder / "notes.txt").write_text("ignored")
    out = tmp_path / "out"
    found = recover_pictures(resolve_input(str(folder)), out, RecoverOptions(), recoverer)
    assert found.inputs == 7
    assert found.people == 2
    skipped = {s.path.name: s.reason for s in found.skipped}
    assert set(skipped) == {"broken.jpg", "text.png", "empty.png", "nobody.png", "sliver.png"}
    assert all("\n" not in reason for reason in skipped.values())
    assert "no person found" in skipped["sliver.png"]
    assert (out / "more" / "also.npz").is_file()
    assert (out / "contact_sheet.jpg").is_file()
    assert len((out / "skipped.txt").read_text().splitlines()) == 6


def test_pictures_of_every_kind_are_read(tmp_path: Path, recoverer: Recoverer) -> None:
    folder = tmp_path / "kinds"
    folder.mkdir()
    rgb = Image.fromarray(scene())
    rgb.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    rgb.convert("RGBA").save(folder / "alpha.png")
    rgb.quantize(64).save(folder / "palette.png")
    sideways = Image.fromarray(np.rot90(scene()))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to look at it
    sideways.save(folder / "exif.jpg", exif=exif, quality=95)
    deep = scene().astype(np.uint16) * 257
    cv2.imwrite(str(folder / "sixteen.png"), deep[..., ::-1])
    out = tmp_path / "out"
    options = RecoverOptions(mesh="none", overlay=False)
    found = recover_pictures(resolve_input(str(folder)), out, options, recoverer)
    assert found.skipped == ()
    for name in ("cmyk", "alpha", "palette", "exif", "sixteen"):
        x0, y0, x1, y1 = box_of(out / f"{name}.npz")
        assert (x0 + x1) / 2 == pytest.approx(140, abs=4), name
        assert (y0 + y1) / 2 == pytest.approx(175, abs=8), name


def test_two_pictures_of_one_name_do_not_overwrite_each_other(
    tmp_path: Path, recoverer: Recoverer
) -> None:
    folder = tmp_path / "twins"
    folder.mkdir()
    save(folder / "a.png", scene(red=50))
    save(folder / "a.jpg", scene(red=300), quality=95)
    out = tmp_path / "out"
    options = RecoverOptions(mesh="none", overlay=False)
    recover_pictures(resolve_input(str(folder)), out, options, recoverer)
    assert box_of(out / "a_png.npz")[0] < box_of(out / "a_jpg.npz")[0]


def test_a_defect_is_not_a_skipped_picture(
    tmp_path: Path, recoverer: Recoverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr("pear_avatar.commands.recover.write_person", fail)
    for name in ("a.png", "b.png"):
        save(tmp_path / name, scene())
    with pytest.raises(ValueError, match="broadcast"):
        recover_pictures(
            resolve_input(str(tmp_path)), tmp_path / "out", RecoverOptions(mesh="none"), recoverer
        )


def test_the_only_picture_raises(tmp_path: Path, recoverer: Recoverer) -> None:
    picture = save(tmp_path / "nobody.png", scene(red=None))
    with pytest.raises(MediaError, match="no person found"):
        recover_pictures(resolve_input(str(picture)), tmp_path, RecoverOptions(), recoverer)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("0", "camera"), ("rtsp://cam/1", "stream"), ("https://x/y.m3u8", "stream")],
)
def test_live_inputs_are_known_by_their_look(text: str, kind: str) -> None:
    found = resolve_input(text)
    assert found.kind == kind
    assert found.is_live


def test_inputs_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(PearError, match="no such picture"):
        resolve_input(str(tmp_path / "nothing.jpg"))
    with pytest.raises(PearError, match="holds no pictures"):
        resolve_input(str(tmp_path))


def test_contact_sheets_keep_the_shape_of_their_pictures() -> None:
    tall = np.full((400, 100, 3), 255, np.uint8)
    sheet = contact_sheet([("a", tall), ("b", tall[:, :50])])
    assert sheet.shape[1] == 2 * 420
    bright = (sheet[:, :420] > 200).all(-1)
    rows, columns = np.nonzero(bright[:280])
    assert np.ptp(rows) + 1 == 280
    assert np.ptp(columns) + 1 == 70


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red block walks right, a smaller blue one walks left; they do not meet."""
    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    with VideoWriter(path, 25) as writer:
        for t in range(16):
            writer.write(scene(red=20 + 6 * t, blue=420 - 6 * t))
    return path


def test_everybody_in_a_video_keeps_their_number(
    tmp_path: Path, recoverer: Recoverer, crossing: Path
) -> None:
    out = tmp_path / "out"
    options = RecoverOptions(everyone=True)
    found = recover_video(resolve_input(str(crossing)), out, options, recoverer)
    assert found.people == 2
    for identity, step in ((0, 6.0), (1, -6.0)):
        track = load_track(out / f"walk_{identity}.npz")
        assert track.frame_index.tolist() == list(range(16))
        assert track.motion.params.betas.dim() == 1
        joints = np.load(out / f"walk_{identity}_joints.npz")
        assert joints["joints"].shape == (16, 55, 3)
        walked = np.diff(joints["joints_px"][:, 0, 0])
        assert walked[3:-3].mean() == pytest.approx(step, abs=1.0)
        assert (out / f"walk_{identity}.glb").is_file()
    video = probe_video(out / "walk_overlay.mp4")
    assert (video.num_frames, video.width) == (16, WIDTH + HEIGHT // 2)


def test_one_person_of_a_video_can_be_chosen(
    tmp_path: Path, recoverer: Recoverer, crossing: Path
) -> None:
    for k, options in enumerate(
        (
            RecoverOptions(person=1, mesh="none", overlay=False),
            RecoverOptions(box=(380, 90, 480, 300), mesh="none", overlay=False),
        )
    ):
        out = tmp_path / str(k)
        recover_video(resolve_input(str(crossing)), out, options, recoverer)
        joints = np.load(out / "walk_joints.npz")["joints_px"]
        assert joints[0, 0, 0] > joints[-1, 0, 0]
    nowhere = RecoverOptions(box=(200, 0, 240, 40))
    with pytest.raises(PearError, match="no person appears in the box"):
        recover_video(resolve_input(str(crossing)), tmp_path / "no", nowhere, recoverer)


def test_smoothing_can_be_chosen_and_left_out(
    tmp_path: Path, recoverer: Recoverer, crossing: Path
) -> None:
    pelvis = {}
    for smooth in ("off", "one-euro", "gaussian"):
        out = tmp_path / smooth
        options = RecoverOptions(person=0, mesh="none", overlay=False, smooth=smooth)
        recover_video(resolve_input(str(crossing)), out, options, recoverer)
        pelvis[smooth] = np.load(out / "walk_joints.npz")["joints"][:, 0]
    assert np.abs(pelvis["off"] - pelvis["gaussian"]).max() > 1e-4
    # A steady walk is followed, not held back: within 2 cm (one frame's step is 3 cm).
    for smooth in ("one-euro", "gaussian"):
        assert np.abs(pelvis["off"] - pelvis[smooth])[4:-4].max() < 0.02


def test_a_live_run_ends_with_its_stream_and_writes_the_motion(
    tmp_path: Path, recoverer: Recoverer, crossing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pear_avatar.commands.recover_live as live
    from pear_avatar.commands.recover_inputs import MediaInput

    class Detector:
        def __init__(self, detectors: Detectors) -> None: ...

        def __enter__(self) -> Detector:
            return self

        def __exit__(self, *_: object) -> None: ...

        def detect(self, rgb: np.ndarray, time: float) -> ClipDetections | None:
            person = Blocks().largest(rgb)
            return None if person is None else person.detections

    monkeypatch.setattr(live, "LiveDetector", Detector)
    # A file at its own speed stands for the network's frames.
    monkeypatch.setattr(live, "LiveSource", lambda kind, address: LiveSource("file", address))
    told: list[str] = []
    source = MediaInput("stream", str(crossing), "stream")
    out = tmp_path / "out"
    recover_live(source, out, RecoverOptions(), recoverer, browser=False, log=told.append)
    assert any("http://127.0.0.1:" in line for line in told)
    assert any("over the network" in line for line in told)
    motion = load_motion(out / "stream.npz")
    # Stale frames are dropped, and the others keep the stream's own times (25 frames a second).
    assert 2 <= motion.params.num_frames <= 16
    steps = motion.time * 25.0
    assert np.abs(steps - np.round(steps)).max() < 0.02
    monkeypatch.undo()
    monkeypatch.setattr(live, "LiveDetector", Detector)
    gone = MediaInput("stream", str(tmp_path / "gone.mp4"), "gone")
    with pytest.raises(MediaError, match="cannot be opened"):
        recover_live(gone, out, RecoverOptions(), recoverer, browser=False)
