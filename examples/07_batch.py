"""Fit every video of a folder, go on after failures, and write one table of figures.

python examples/07_batch.py videos/ -o avatars
"""

import argparse
import csv
from pathlib import Path

import pear_avatar as pear

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", type=Path)
parser.add_argument("-o", "--out", type=Path, default=Path("avatars"))
parser.add_argument("--preset", default="fast")
parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="KEY=VALUE")
args = parser.parse_args()

rows = []
for video in sorted(args.folder.glob("*.mp4")):
    try:
        # Finished videos take no time, interrupted ones continue: run the script again at will.
        fit = pear.fit(video, args.out / video.stem, preset=args.preset, settings=args.settings)
    except (pear.PearError, FileNotFoundError) as error:  # what is wrong with this one video
        rows.append({"video": video.name, "psnr": "", "splats": "", "problem": str(error)})
        continue
    heldout = fit.report["heldout"]["psnr_masked"]
    rows.append(
        {
            "video": video.name,
            "psnr": f"{heldout:.2f}",
            "splats": fit.avatar.num_splats,
            "problem": "; ".join(fit.report["warnings"]),
        }
    )

args.out.mkdir(parents=True, exist_ok=True)
with open(args.out / "figures.csv", "w", newline="", encoding="utf-8") as file:
    table = csv.DictWriter(file, ["video", "psnr", "splats", "problem"])
    table.writeheader()
    table.writerows(rows)
print(f"{len(rows)} videos: {args.out / 'figures.csv'}")
