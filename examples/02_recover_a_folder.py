"""Recover the people of all pictures in a folder, and list what was found.

python examples/02_recover_a_folder.py holiday-photos/
"""

import argparse
from pathlib import Path

import pear_avatar as pear

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", type=Path)
parser.add_argument("-o", "--out", type=Path, default=Path("recovered"))
args = parser.parse_args()

# One Recoverer loads the networks once and serves any number of pictures.
with pear.Recoverer() as recoverer:
    # In memory, picture by picture ...
    for path in sorted(p for p in args.folder.iterdir() if p.suffix in (".jpg", ".png")):
        for person in recoverer(path, everyone=True):
            body = recoverer.source.body.person(person.proportions)
            p = person.params
            posed = body.shape(p.betas, p.expression).pose(p.rotations, p.transl)
            height = float(posed.joints[:, 1].max() - posed.joints[:, 1].min())
            print(f"{path.name}: person {person.identity}, {height:.2f} m from toe to eyes")
    # ... or everything at once, as files: parameters, joints, meshes, overlays, a contact sheet.
    summary = pear.recover_files(args.folder, args.out, everyone=True, recoverer=recoverer)

print(f"{summary.people} people in {summary.inputs} pictures: {summary.folder}")
for skipped in summary.skipped:
    print(f"skipped: {skipped.reason}")
