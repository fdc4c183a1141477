"""Measure the detector: ``python -m pear_avatar.training.lifter.measure_detector -o noise.npz``.

Renders some hundred pictures of synthetic people, runs the detector on each and stores how it
errs. ``--renders`` keeps the pictures' truth and detections too, to test a lifter on; take
another seed for that than for the bank that it was trained with.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from pear_avatar.body.open_body import load_body
from pear_avatar.synthesis.poses import load_pool
from pear_avatar.training.lifter.noise import fit_noise
from pear_avatar.training.lifter.renders import make_renders

_log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m pear_avatar.training.lifter.measure_detector",
        description="Measure the landmark detector.",
    )
    parser.add_argument("--data", type=Path, help="folder of motion capture for the poses")
    parser.add_argument("--held-out", action="store_true", help="pose only as held-out clips do")
    parser.add_argument("--count", type=int, default=700, help="pictures")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--renders", type=Path, help="npz for the pictures' truth and detections")
    parser.add_argument("-o", "--output", type=Path, help="noise bank to write")
    given = parser.parse_args(arguments)
    if given.output is None and given.renders is None:
        parser.error("nothing to write: give -o or --renders")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    body = load_body()

    def report(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            _log.info("%d of %d pictures", done, total)

    pool = load_pool(body, given.data, held_out=given.held_out)
    renders = make_renders(body, pool, given.count, given.seed, report)
    if given.renders is not None:
        renders.save(str(given.renders))
    if given.output is not None:
        bank = fit_noise(renders, body)
        bank.save(given.output)
        _log.info(
            "%d records, %.1f %% gross failures, %.1f %% front and back exchanged",
            len(bank.body_key),
            100 * float(bank.failures),
            100 * float(bank.flips),
        )


if __name__ == "__main__":
    main()
