"""The report: a stable JSON format, and a page that stands alone."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pear_avatar.report.charts import group_curves, line_chart, ticks
from pear_avatar.report.fit_report import (
    METRIC_KEYS,
    ReportImages,
    write_report_html,
    write_report_json,
)
from pear_avatar.report.pictures import as_uint8, contact_sheet, data_uri

_VOID = {"meta", "img", "link", "br", "hr", "line", "polyline", "circle"}


class Outline(HTMLParser):
    """Checks nesting and collects tags and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def metrics(**changes: Any) -> dict[str, Any]:
    numbers: dict[str, Any] = dict.fromkeys(METRIC_KEYS, 0.5)
    return numbers | {"perceptual_metric": "stlpips-alex"} | changes


def sample(**changes: Any) -> dict[str, Any]:
    return {
        "initial": metrics(psnr_masked=20.0),
        "heldout": metrics(psnr_masked=23.456),
        "heldout_refit": metrics(psnr_masked=25.0),
        "track": {"landmark_error_rel": 0.011, "frames": 10, "frames_trusted": 9},
        "seconds": {"perception": 3.0, "fit": 100.0},
        "splats": 1000,
        "steps": 10,
        "device": "cpu",
        "versions": {"pear_avatar": "0.1.0"},
    } | changes


def page(tmp_path: Path, report: dict[str, Any], images: ReportImages | None = None) -> str:
    path = tmp_path / "report.html"
    curves = {"loss": [(0.0, 1.0), (1.0, 0.5)], "psnr/train": [(0.0, 10.0)]}
    write_report_html(path, report, images or ReportImages(), curves)
    return path.read_text(encoding="utf-8")


def picture(value: int = 200) -> np.ndarray:
    return np.full((40, 30, 3), value, np.uint8)


def test_json_has_the_figures_and_no_nan(tmp_path: Path) -> None:
    report = sample(initial=metrics(psnr_masked=float("nan"), ssim_masked=np.float32(0.9)))
    write_report_json(tmp_path / "report.json", report)
    text = (tmp_path / "report.json").read_text()
    read = json.loads(text)
    assert read["initial"]["psnr_masked"] is None
    assert read["initial"]["ssim_masked"] == pytest.approx(0.9)
    assert read["heldout"]["psnr_masked"] == 23.456
    assert "NaN" not in text


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"seconds": None}, None),
        ({"track": {"frames": 1}}, "report.track lacks landmark_error_rel"),
        ({"heldout": {"psnr_masked": 1.0}}, "report.heldout lacks psnr_masked_all"),
        ({"unseen": {"psnr_masked": 1.0}}, "report.unseen lacks"),
    ],
)
def test_a_missing_key_is_named(tmp_path: Path, broken: dict[str, Any], told: str | None) -> None:
    report = sample(**broken)
    if told is None:
        del report["seconds"]
        told = "report lacks seconds"
    with pytest.raises(ValueError, match=told):
        write_report_json(tmp_path / "report.json", report)
    assert not (tmp_path / "report.json").exists()


def test_page_is_well_formed_and_needs_nothing_else(tmp_path: Path) -> None:
    images = ReportImages([[picture(), picture(90)]], ["input", "render"], ["frame 3"])
    outline = Outline()
    text = page(tmp_path, sample(), images)
    outline.feed(text)
    assert outline.open == []
    assert not {tag for tag, _ in outline.tags} & {"script", "link", "iframe"}
    sources = [attributes["src"] or "" for tag, attributes in outline.tags if tag == "img"]
    assert len(sources) == 2
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"https?://|url\(|@import", text)


def test_page_shows_the_figures_with_their_protocol(tmp_path: Path) -> None:
    text = page(tmp_path, sample())
    assert "23.46" in text
    assert "+3.46" in text
    assert "stlpips-alex" in text
    assert "neighbours" in text


def test_page_shows_where_looks_come_from_and_which_frames_were_left_out(tmp_path: Path) -> None:
    report = sample(surface={"seen": 0.52, "mirrored": 0.08, "made_up": 0.4})
    report["track"]["refused"] = {"too small": "2-6, 9"}
    text = page(tmp_path, report, ReportImages(origins=[("0°", picture())]))
    for shown in ("seen 52%", "mirrored 8%", "made up 40%", "Frames left out", "2-6, 9"):
        assert shown in text
    assert "Frames left out" not in page(tmp_path, sample())


def test_texts_are_escaped(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    report = sample(
        title=evil, warnings=[evil], config={"key": evil}, seconds={evil: 1.0}, subtitle='"><b>'
    )
    text = page(tmp_path, report)
    assert "<img" not in text
    assert "&lt;img src=x" in text


def test_sets_that_do_not_apply_are_left_out(tmp_path: Path) -> None:
    report = sample(heldout=None, heldout_refit=None, initial=None)
    assert "nothing was measured" in page(tmp_path, report)
    assert "last 20 %" not in page(tmp_path, sample())
    assert "last 20 %" in page(tmp_path, sample(unseen=metrics()))


def test_contact_sheet_keeps_proportions_and_order() -> None:
    red, blue = np.zeros((2, 60, 30, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    sheet = contact_sheet([[red, blue], [blue]], ["a", "b"], cell_height=120)
    assert sheet.dtype == np.uint8
    reds = np.argwhere((sheet == (255, 0, 0)).all(-1))
    blues = np.argwhere((sheet == (0, 0, 255)).all(-1))
    extent = reds.max(0) - reds.min(0) + 1
    # The one-pixel rule around each picture hides its rim.
    assert tuple(extent) == (118, 58)
    assert blues[:, 0].max() > reds[:, 0].max() + 60


def test_contact_sheet_lays_transparent_pictures_on_white() -> None:
    clear = np.zeros((64, 64, 4), np.float32)
    assert (contact_sheet([[clear]], ["x"], cell_height=64)[60:80, 30:50] == 255).all()


@pytest.mark.parametrize(("rows", "labels"), [([], ["a"]), ([[picture(), picture()]], ["a"])])
def test_contact_sheet_rejects_what_it_cannot_lay_out(rows: Any, labels: list[str]) -> None:
    with pytest.raises(ValueError, match=r"picture|columns"):
        contact_sheet(rows, labels)


def test_data_uri_holds_the_picture() -> None:
    uri = data_uri(picture(128), max_height=20)
    kind, _, payload = uri.partition(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(payload)))
    assert kind == "data:image/jpeg"
    assert image.size == (15, 20)
    assert abs(int(np.asarray(image).mean()) - 128) <= 1


def test_float_pictures_are_clipped() -> None:
    values = np.array([-1.0, 0.5, 2.0, np.nan], np.float32).reshape(2, 2, 1).repeat(3, axis=2)
    assert as_uint8(values)[..., 0].ravel().tolist() == [0, 128, 255, 0]
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        as_uint8(np.zeros((3, 4)))


def test_ticks_are_round_and_inside() -> None:
    for low, high in ((0.0, 7000.0), (19.3, 24.9), (1e-4, 3e-4), (-2.0, 2.0)):
        marks = ticks(low, high, 4)
        assert 2 <= len(marks) <= 6
        assert low - 1e-9 <= marks[0]
        assert marks[-1] <= high + 1e-9
        step = marks[1] - marks[0]
        assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1.0, 2.0, 5.0)


def test_curves_with_one_prefix_share_a_chart_and_holes_are_skipped() -> None:
    charts = group_curves(
        {"psnr/train": [(0, 1), (1, math.nan)], "psnr/test": [(0, 2)], "loss": [(0, math.inf)]}
    )
    assert list(charts) == ["psnr"]
    assert charts["psnr"]["train"] == [(0.0, 1.0)]


def test_a_flat_and_a_single_point_chart_can_be_drawn() -> None:
    for curve in ([(0.0, 3.0)], [(0.0, 3.0), (5.0, 3.0)]):
        assert "nan" not in line_chart("x", {"x": curve})


def test_long_curves_are_thinned_but_keep_their_end() -> None:
    chart = line_chart("x", {"x": [(float(i), float(i)) for i in range(10000)]})
    points = re.search(r'points="([^"]*)"', chart)
    assert points is not None
    assert len(points[1].split()) <= 302
    assert points[1].split()[-1].startswith("410.0,")


def test_figures_in_the_video_s_pixels_have_their_own_table(tmp_path: Path) -> None:
    close_up = {
        "head": {"psnr": 25.42, "sharpness": 0.483, "eyes_psnr": 23.1, "frames": 12.0},
        "frame": {"neuman_psnr": 31.5, "rim_psnr": 15.2, "frames": 6.0},
    }
    images = ReportImages(close=[("head, input", picture()), ("head, avatar", picture(90))])
    text = page(tmp_path, sample(close_up=close_up), images)
    for expected in ("25.42", "0.48", "31.50", "15.20", "head, avatar", "own pixels"):
        assert expected in text
    assert "PSNR of the mouth" not in text
    assert "own pixels" not in page(tmp_path, sample())
