"""The report's table of figures at the video's own resolution."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

_COLUMNS = (("head", "head"), ("hands", "hands"), ("frame", "whole frame"))
_ROWS = (
    ("psnr", "PSNR", ".2f", "dB, laid over the true picture, in the part's box"),
    ("perceptual", "Perceptual", ".3f", "the same box; less is better"),
    ("sharpness", "Sharpness", ".2f", "gradient over the input's, noise taken off; 1 is as sharp"),
    ("eyes_psnr", "PSNR of the eyes", ".2f", "dB, in the boxes of the detected eyes"),
    ("mouth_psnr", "PSNR of the mouth", ".2f", "dB, in the box of the detected lips"),
    ("rim_psnr", "PSNR of the rim", ".2f", "dB, three pixels either side of the mask's outline"),
    ("neuman_psnr", "PSNR, NeuMan", ".2f", "dB, whole frame, both masked, over white"),
    ("neuman_ssim", "SSIM, NeuMan", ".4f", "the same pictures"),
    ("neuman_perceptual", "Perceptual, NeuMan", ".4f", "the same pictures"),
    ("box_px", "Height", ".0f", "of the part's box, in pixels of the video"),
    ("frames", "Frames", ".0f", "held-out frames that show the part"),
)


def close_up_table(figures: Mapping[str, Mapping[str, Any]] | None) -> str:
    """HTML of ``report["close_up"]``: part -> figures; empty where nothing was measured."""
    if not figures:
        return ""
    parts = [(name, label) for name, label in _COLUMNS if figures.get(name)]
    head = "".join(f"<th>{html.escape(label)}</th>" for _, label in parts)
    body = "".join(
        f"<tr><th>{html.escape(label)}<small>{html.escape(note)}</small></th>"
        + "".join(f"<td>{_cell(figures[name].get(key), form)}</td>" for name, _ in parts)
        + "</tr>"
        for key, label, form, note in _ROWS
        if any(figures[name].get(key) is not None for name, _ in parts)
    )
    return (
        "<h2>In the video's own pixels</h2>"
        f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody>'
        '</table></div><p class="note">Held-out frames, poses interpolated. A face without eyes '
        "scores well in the table above; it does not here.</p>"
    )


def _cell(value: Any, form: str) -> str:
    return "-" if value is None else format(float(value), form)
