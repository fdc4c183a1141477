"""``pear-avatar bench hmr``: recovery measured on a data set, beside what papers report."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pear_avatar.cli.options import (
    Subparsers,
    add_command,
    add_force_option,
    add_machine_options,
    add_network_options,
    plan_outputs,
    positive_int,
)
from pear_avatar.errors import (
    EXIT_OK,
    EXIT_SKIPPED,
    DatasetError,
    PearError,
    content_errors,
)
from pear_avatar.machine import limit_threads

if TYPE_CHECKING:
    from pear_avatar.body import BodyModel
    from pear_avatar.evaluation.datasets import Sample
    from pear_avatar.evaluation.recovery_benchmark import HmrReport
    from pear_avatar.recovery.sources import LifterSource, PearSource

_EXAMPLES = """\
  pear-avatar bench hmr
      synthetic people with known truth; needs no data
  pear-avatar bench hmr --dataset 3dpw --root 3DPW --limit 2000
  pear-avatar bench hmr --dataset ehf --root EHF --checkpoint pear_model.pt --body-models models
  pear-avatar bench hmr --dataset coco-wholebody --root coco
      coco/annotations/coco_wholebody_val_v1.0.json and coco/val2017
  pear-avatar bench hmr --dataset stills --root photos
"""

_DATASETS = ("synthetic", "stills", "3dpw", "ehf", "agora", "ubody", "coco-wholebody")
_SYNTHETIC_PEOPLE = 4
_COCO_FILE, _COCO_PICTURES = "annotations/coco_wholebody_val_v1.0.json", "val2017"


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(
        commands, "bench", "Measure recovery on a data set, beside published figures.", _EXAMPLES
    )
    parser.add_argument("what", choices=("hmr",), help="what to measure: human mesh recovery")
    parser.add_argument(
        "--dataset", choices=_DATASETS, default="synthetic", help="(default: synthetic)"
    )
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="the data set's folder, as its owners lay it out"
    )
    parser.add_argument("--limit", type=positive_int, metavar="N", help="at most N people")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="weights of the PEAR network, to measure it instead of the landmark lifter",
    )
    parser.add_argument(
        "--body-models",
        type=Path,
        metavar="DIR",
        help="folder with SMPL-X and FLAME, which the released PEAR network needs",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    add_network_options(parser, "float32")
    add_machine_options(parser)
    add_force_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print the table."""
    if args.root is None and args.dataset != "synthetic":
        raise PearError(f"--dataset {args.dataset} needs --root, the folder that holds it")
    plan_outputs(args, [args.json] if args.json else [], [args.checkpoint])
    args.kept_on_interrupt = "Nothing was written."
    limit_threads(args.threads)

    from pear_avatar.cli.progress import StageProgress
    from pear_avatar.evaluation.recovery_benchmark import measure_recovery
    from pear_avatar.recovery.recoverer import Recoverer

    with (
        tempfile.TemporaryDirectory() as scratch,
        Recoverer(_source(args)) as recoverer,
        StageProgress() as progress,
    ):
        body = recoverer.source.body
        samples = _samples(args.dataset, args.root, Path(scratch), body.body)
        report = measure_recovery(samples, recoverer, body, limit=args.limit, progress=progress)
    print(_table(args.dataset, report))
    if args.json is not None:
        _write_json(args.json, args.dataset, report)
    return EXIT_SKIPPED if report.skipped else EXIT_OK


def _source(args: argparse.Namespace) -> LifterSource | PearSource:
    from pear_avatar.recovery.sources import pose_source

    return pose_source(
        args.checkpoint,
        args.device,
        args.body_models,
        convention=args.convention,
        precision=args.precision,
    )


def _samples(dataset: str, root: Path, scratch: Path, body: BodyModel) -> Iterator[Sample]:
    """The data set's samples; a file of another structure is the data set's fault."""
    with content_errors(DatasetError, f"{dataset} in {root}"):
        yield from _read_samples(dataset, root, scratch, body)


def _read_samples(dataset: str, root: Path, scratch: Path, body: BodyModel) -> Iterator[Sample]:
    from pear_avatar.evaluation import datasets

    if dataset == "synthetic":
        return datasets.make_synthetic_samples(scratch, body, _SYNTHETIC_PEOPLE)
    if dataset == "coco-wholebody":
        return datasets.read_coco_wholebody(root / _COCO_FILE, root / _COCO_PICTURES)
    readers: dict[str, Callable[[Path], Iterator[Sample]]] = {
        "stills": datasets.read_stills,
        "3dpw": datasets.read_3dpw,
        "ehf": datasets.read_ehf,
        "agora": datasets.read_agora,
        "ubody": datasets.read_ubody,
    }
    return readers[dataset](root)


def _table(dataset: str, report: HmrReport) -> str:
    """Our figures, the published ones, and how far they may be compared."""
    from pear_avatar.evaluation.human_mesh.published import PROTOCOLS, PUBLISHED

    lines = [f"{dataset}: {report.people} people, {report.found} recovered"]
    if report.skipped:
        lines[0] += f", {report.skipped} pictures could not be read"
    rows = [
        ("pear-avatar", f.name, f"{f.value:.1f} {f.unit}", f"over {f.count}")
        for f in report.figures
    ]
    rows += [
        (p.method, p.metric, f"{p.value:.1f} {p.unit}", p.source)
        for p in PUBLISHED.get(dataset, ())
    ]
    if not rows:
        return f"{lines[0]}; nothing could be measured"
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join([*lines, f"ours: {PROTOCOLS[dataset]}"])


def _write_json(path: Path, dataset: str, report: HmrReport) -> None:
    from dataclasses import asdict

    from pear_avatar.evaluation.human_mesh.published import PROTOCOLS
    from pear_avatar.io.atomic import write_text_atomic
    from pear_avatar.io.replacing import MARK

    content = {
        "made_by": MARK,
        "dataset": dataset,
        "protocol": PROTOCOLS[dataset],
        **asdict(report),
    }
    write_text_atomic(path, json.dumps(content, indent=2) + "\n")
