"""The report of a fit: ``report.json`` for programs and ``report.html`` for people."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from pear_avatar.io.atomic import write_text_atomic
from pear_avatar.io.replacing import MARK
from pear_avatar.report.charts import Curve, group_curves, line_chart
from pear_avatar.report.close_up_table import close_up_table
from pear_avatar.report.origins import ORIGIN_COLORS
from pear_avatar.report.pictures import data_uri

METRIC_KEYS = (
    "psnr_masked",
    "psnr_masked_all",
    "excluded_share",
    "silhouette_iou",
    "ssim_masked",
    "perceptual_masked",
    "psnr_frame",
    "ssim_frame",
    "perceptual_frame",
    "perceptual_metric",
)
TRACK_KEYS = ("landmark_error_rel", "frames", "frames_trusted")
#: What a set of frames is called, in the report and on the terminal.
SET_NAMES = {
    "initial": "before the joint fit",
    "heldout": "held out",
    "heldout_refit": "held out, pose fitted",
    "unseen": "last 20 %",
}
_ORIGINS = {"seen": "seen", "mirrored": "mirrored", "made_up": "made up"}
_REQUIRED_SETS = ("initial", "heldout", "heldout_refit")
_REQUIRED = (*_REQUIRED_SETS, "track", "seconds", "splats", "steps", "device", "versions")

#: Key, name and explanation of each figure, in the report and on the terminal.
METRIC_ROWS = (
    ("psnr_masked", "PSNR, masked", "dB, person over white on the person's crop; more is better"),
    ("psnr_masked_all", "PSNR, masked, nothing left out", "dB; occluders count as errors"),
    ("ssim_masked", "SSIM, masked", "11 x 11 Gaussian window; more is better"),
    ("perceptual_masked", "Perceptual, masked", "less is better; the metric is named below"),
    ("silhouette_iou", "Silhouette IoU", "overlap with the person's mask; more is better"),
    ("psnr_frame", "PSNR, unmasked", "dB, laid over the true picture"),
    ("ssim_frame", "SSIM, unmasked", "laid over the true picture"),
    ("perceptual_frame", "Perceptual, unmasked", "laid over the true picture"),
    ("excluded_share", "Left out", "share of the person's box hidden by something in front"),
)
_PROTOCOL = (
    "Held out: every n-th frame, never used for appearance; its pose is the tracked one with its "
    "neighbours' refinement. Pose fitted: the body's pose (nothing else) is optimised on the "
    "test picture first, so this column measures appearance only. Last 20 %: the end of the clip, "
    "kept out of the fit altogether."
)


@dataclass(frozen=True)
class ReportImages:
    """Pictures of a report: (H, W, 3) uint8 or floats in [0, 1].

    rows:       pictures of one frame each, one a column.
    labels:     what each column shows, such as ``("input", "overlay", "render")``.
    row_titles: which frame each row shows; empty for none.
    novel:      (label, picture) of the avatar from sides and in poses the video does not show.
    origins:    (label, picture) of the avatar coloured by where its looks come from.
    close:      (label, picture) of head and hands at the video's own resolution, input first.
    """

    rows: Sequence[Sequence[np.ndarray]] = ()
    labels: Sequence[str] = ()
    row_titles: Sequence[str] = ()
    novel: Sequence[tuple[str, np.ndarray]] = ()
    origins: Sequence[tuple[str, np.ndarray]] = ()
    close: Sequence[tuple[str, np.ndarray]] = ()


def write_report_json(path: str | Path, report: Mapping[str, Any]) -> None:
    """Write ``report.json`` atomically.

    A set of metrics may be None where it does not apply (a one-frame clip has nothing held out);
    ``unseen`` may be absent. ``curves``, name -> [(step, value)], take one line each. Numbers
    that are not finite are written as null.

    Raises:
        ValueError: a key of the format is missing; the message names it.
    """
    check_report(report)
    content = {"made_by": MARK, **{k: value for k, value in report.items() if k != "curves"}}
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    if curves := report.get("curves"):
        text = text.removesuffix("\n}") + f',\n  "curves": {{\n{_curve_lines(curves)}\n  }}\n}}'
    write_text_atomic(path, text + "\n")


def _curve_lines(curves: Mapping[str, Curve]) -> str:
    """One line of JSON for each curve: a point a line would drown the figures."""
    return ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(_plain(points), allow_nan=False)}"
        for name, points in curves.items()
    )


def check_report(report: Mapping[str, Any]) -> None:
    """Raise ValueError where a key that readers of ``report.json`` rely on is missing."""
    _check_keys(report, _REQUIRED, "report")
    _check_keys(report["track"], TRACK_KEYS, "report.track")
    for name in SET_NAMES:
        metrics = report.get(name)
        if metrics is not None:
            _check_keys(metrics, METRIC_KEYS, f"report.{name}")


def write_report_html(
    path: str | Path,
    report: Mapping[str, Any],
    images: ReportImages,
    curves: Mapping[str, Curve],
) -> None:
    """Write ``report.html``: one file that needs no other, no network and no script.

    Args:
        path: where to.
        report: as for :func:`write_report_json`; ``title``, ``subtitle``, ``warnings`` (list of
            lines), ``config`` and ``evaluator`` are shown where present.
        images: pictures; may be empty.
        curves: name -> (step, value) points; ``"psnr/train"`` and ``"psnr/heldout"`` share a
            chart.

    Raises:
        ValueError: as :func:`write_report_json`.
    """
    check_report(report)
    template = resources.files("pear_avatar.report").joinpath("report_template.html")
    page = Template(template.read_text(encoding="utf-8")).substitute(
        title=_text(report.get("title", "avatar")),
        subtitle=_text(report.get("subtitle", "")),
        tiles=_tiles(report),
        warnings=_warnings(report.get("warnings") or ()),
        pictures=_pictures(images) + _origins(images, report) + _refusal(report),
        metrics=_metrics_table(report) + close_up_table(report.get("close_up")),
        charts=_charts(curves),
        seconds=_seconds(report["seconds"]),
        facts=_facts(report),
        config=_config(report.get("config")),
        version=_text(report["versions"].get("pear_avatar", "")),
    )
    write_text_atomic(path, page)


def _check_keys(mapping: Any, keys: Sequence[str], where: str) -> None:
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{where} must be a mapping, got {type(mapping).__name__}")
    missing = [key for key in keys if key not in mapping]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}; it has {', '.join(mapping)}")


def _plain(value: Any) -> Any:
    """JSON's own types; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, Path):
        return str(value)
    number = float(value)
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    return html.escape(str(value))


def _number(value: Any, form: str) -> str:
    """A formatted number, or a dash where there is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return "-"
    return format(number, form) if math.isfinite(number) else "-"


def _metric(key: str, value: Any) -> str:
    if key.startswith("psnr"):
        return _number(value, ".2f")
    return _number(value, ".1%") if key == "excluded_share" else _number(value, ".3f")


def _tiles(report: Mapping[str, Any]) -> str:
    heldout, initial, track = report["heldout"] or {}, report["initial"] or {}, report["track"]
    tiles = [
        (_metric("psnr_masked", heldout.get("psnr_masked")), "dB PSNR, held out, masked"),
        (_gain(initial, heldout), "dB gained by the joint fit"),
        (_metric("silhouette_iou", heldout.get("silhouette_iou")), "silhouette IoU"),
        (_number(track["landmark_error_rel"], ".2%"), "landmark error, of the height"),
        (f"{track['frames_trusted']} / {track['frames']}", "frames trusted"),
        (_duration(sum(map(float, report["seconds"].values()))), "from video to avatar"),
    ]
    return "".join(
        f'<div class="card tile"><b>{_text(value)}</b><small>{_text(label)}</small></div>'
        for value, label in tiles
    )


def _gain(initial: Mapping[str, Any], heldout: Mapping[str, Any]) -> str:
    before, after = initial.get("psnr_masked"), heldout.get("psnr_masked")
    return "-" if before is None or after is None else _number(after - before, "+.2f")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min"


def _warnings(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f'<div class="card warnings"><ul>{items}</ul></div>' if items else ""


def _pictures(images: ReportImages) -> str:
    parts = []
    if images.rows:
        rows = "".join(
            _picture_row(
                list(zip(images.labels, row, strict=False)),
                images.row_titles[index] if index < len(images.row_titles) else "",
            )
            for index, row in enumerate(images.rows)
        )
        parts.append(f'<h2>The avatar beside the video</h2><div class="card rows">{rows}</div>')
    if images.close:
        parts.append(
            "<h2>Close up, in the video's own pixels</h2>"
            f'<div class="card"><div class="row wall">{_figures(images.close)}</div></div>'
        )
    if images.novel:
        figures = _figures(images.novel)
        parts.append(
            "<h2>What the video does not show</h2>"
            f'<div class="card"><div class="row wall">{figures}</div></div>'
        )
    return "".join(parts)


def _origins(images: ReportImages, report: Mapping[str, Any]) -> str:
    """The map of what was seen, mirrored and made up, with its legend."""
    if not images.origins:
        return ""
    shares = report.get("surface") or {}
    legend = "".join(
        f'<span class="key"><i style="background:rgb{tuple(round(255 * c) for c in color)}">'
        f"</i>{_text(label)} {_number(shares.get(name), '.0%')}</span>"
        for (name, label), color in zip(_ORIGINS.items(), ORIGIN_COLORS, strict=True)
    )
    return (
        "<h2>Seen, mirrored, made up</h2>"
        f'<div class="card"><p class="note">{legend}</p>'
        f'<div class="row wall">{_figures(images.origins)}</div></div>'
    )


def _refusal(report: Mapping[str, Any]) -> str:
    """Which frames were left out, and why."""
    refused = report["track"].get("refused") or {}
    if not refused:
        return ""
    rows = "".join(
        f"<tr><th>{_text(why)}</th><td>{_text(frames)}</td></tr>" for why, frames in refused.items()
    )
    return (
        "<h2>Frames left out</h2>"
        f'<div class="card scroll"><table class="wrap"><tbody>{rows}</tbody></table></div>'
    )


def _picture_row(pictures: Sequence[tuple[str, np.ndarray]], title: str) -> str:
    heading = f'<div class="frame">{_text(title)}</div>' if title else ""
    columns = f"grid-template-columns:repeat({len(pictures)},1fr)"
    return f'<div>{heading}<div class="row" style="{columns}">{_figures(pictures)}</div></div>'


def _figures(pictures: Sequence[tuple[str, np.ndarray]]) -> str:
    return "".join(
        f'<figure><img alt="{_text(label)}" src="{data_uri(picture)}">'
        f"<figcaption>{_text(label)}</figcaption></figure>"
        for label, picture in pictures
    )


def _metrics_table(report: Mapping[str, Any]) -> str:
    columns = {name: report[name] for name in SET_NAMES if report.get(name)}
    if not columns:
        return '<p class="soft">No frame could be held out, so nothing was measured.</p>'
    head = "".join(f"<th>{_text(SET_NAMES[name])}</th>" for name in columns)
    body = "".join(
        f"<tr><th>{_text(label)}<small>{_text(note)}</small></th>"
        + "".join(f"<td>{_metric(key, metrics[key])}</td>" for metrics in columns.values())
        + "</tr>"
        for key, label, note in METRIC_ROWS
    )
    names = sorted({str(m["perceptual_metric"]) for m in columns.values()} - {"None"})
    source = f" Perceptual metric: {', '.join(names)}." if names else " No perceptual metric found."
    evaluator = report.get("evaluator")
    version = f" Evaluator version {evaluator}." if evaluator else ""
    return (
        f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody>'
        f'</table></div><p class="note">{_text(_PROTOCOL + source + version)}</p>'
    )


def _charts(curves: Mapping[str, Curve]) -> str:
    charts = "".join(
        f'<div class="card">{line_chart(title, series)}</div>'
        for title, series in group_curves(curves).items()
    )
    return f'<h2>How the fit went</h2><div class="charts">{charts}</div>' if charts else ""


def _seconds(seconds: Mapping[str, float]) -> str:
    longest = max([float(s) for s in seconds.values()], default=0.0) or 1.0
    return "".join(
        f'<div class="bar"><span>{_text(stage)}</span>'
        f'<i style="width:{100 * float(value) / longest:.1f}%"></i>'
        f"<span>{_text(_duration(float(value)))}</span></div>"
        for stage, value in seconds.items()
    )


def _facts(report: Mapping[str, Any]) -> str:
    facts = {"splats": report["splats"], "steps": report["steps"], "device": report["device"]}
    rows = "".join(
        f"<tr><th>{_text(key)}</th><td>{_text(value)}</td></tr>"
        for key, value in {**facts, **report["versions"]}.items()
    )
    return f'<div class="scroll"><table><tbody>{rows}</tbody></table></div>'


def _config(config: Mapping[str, Any] | None) -> str:
    if not config:
        return ""
    text = OmegaConf.to_yaml(OmegaConf.create(dict(config)))
    return f"<details><summary>Configuration</summary><pre>{_text(text)}</pre></details>"
