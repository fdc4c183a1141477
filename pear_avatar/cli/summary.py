"""What a finished command prints: its figures, with the protocol's name, and where they lie."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from pear_avatar.cli.terminal import ResultConsole
from pear_avatar.report.fit_report import METRIC_ROWS, SET_NAMES

if TYPE_CHECKING:
    from pear_avatar.commands.demo import DemoResult
    from pear_avatar.evaluation.avatar_truth import TruthFigures

#: How a figure is written; the report has more figures than the terminal.
_FORMS = {
    "psnr_masked": ".2f",
    "psnr_masked_all": ".2f",
    "ssim_masked": ".3f",
    "perceptual_masked": ".3f",
    "silhouette_iou": ".3f",
    "psnr_frame": ".2f",
    "excluded_share": ".1%",
}


def print_fit_summary(out_dir: Path) -> None:
    """Print the figures of a result folder's report.json and name its main files."""
    report = json.loads((out_dir / "report.json").read_text(encoding="utf-8"))
    console = ResultConsole()
    console.print(_metrics_table(report))
    track, seconds = report["track"], sum(report["seconds"].values())
    error = _format(track["landmark_error_rel"], ".2%")
    console.print(
        f"frames trusted {track['frames_trusted']} of {track['frames']}, landmark error {error} of "
        f"the height, {report['splats']} splats, {seconds:.0f} s on {report['device']}",
        highlight=False,
    )
    for warning in report.get("warnings", []):
        console.print(f"note: {warning}", style="yellow", markup=False, highlight=False)
    _print_files(
        console, out_dir, ("avatar.safetensors", "preview.mp4", "report.html", "overlay.mp4")
    )
    console.print(
        f"next: pear-avatar view {shlex.quote(str(out_dir))}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def print_demo_summary(result: DemoResult) -> None:
    """Print the demo's figures, against the truth where there is one."""
    print_fit_summary(result.fit.folder)
    console = ResultConsole()
    if result.truth is not None:
        console.print(_truth_table(result.truth))
    _print_files(console, result.fit.folder, (result.motion_video.name, result.sheet.name))


def _truth_table(truth: TruthFigures) -> Table:
    table = Table(title="distance to the synthetic truth", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    rows = (
        ("joint error, root-aligned, 22 body joints", f"{truth.mpjpe_mm:.1f} mm"),
        ("joint error, Procrustes-aligned, 22 body joints", f"{truth.pa_mpjpe_mm:.1f} mm"),
        ("joint error, root-aligned, all 55", f"{truth.mpjpe_all_mm:.1f} mm"),
        ("joint error, Procrustes-aligned, all 55", f"{truth.pa_mpjpe_all_mm:.1f} mm"),
        ("PSNR in unseen poses, masked", f"{truth.psnr_unseen_poses:.2f} dB"),
        ("  with the true angles as they are", f"{truth.psnr_unseen_rotations:.2f} dB"),
        ("SSIM in unseen poses, masked", f"{truth.ssim_unseen_poses:.3f}"),
        ("silhouette IoU in unseen poses", f"{truth.silhouette_iou_unseen_poses:.3f}"),
        (
            f"perceptual in unseen poses ({truth.perceptual_metric or 'no metric found'})",
            _format(truth.perceptual_unseen_poses, ".3f"),
        ),
        ("estimated / true distance to the camera", f"{truth.depth_ratio:.3f}"),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _metrics_table(report: Mapping[str, Any]) -> Table:
    table = Table(title="distance to the video", title_justify="left")
    table.add_column("figure")
    columns = [name for name in SET_NAMES if report.get(name)]
    for name in columns:
        table.add_column(SET_NAMES[name], justify="right")
    for key, label, _ in METRIC_ROWS:
        if form := _FORMS.get(key):
            table.add_row(label, *(_format(report[name].get(key), form) for name in columns))
    names = {str(report[name]["perceptual_metric"]) for name in columns} - {"None"}
    table.caption = f"perceptual: {', '.join(sorted(names)) or 'no metric found'}"
    return table


def _print_files(console: Console, folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        if (folder / name).exists():
            console.print(f"  {folder / name}", highlight=False, markup=False, soft_wrap=True)


def _format(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
