"""``pear-avatar assets``: what is there, what is broken, what is missing and who distributes it."""

from __future__ import annotations

import json

import numpy as np

from pear_avatar.body.licensed.find import MODELS_VARIABLE
from pear_avatar.cli.main import main


def listed(capsys, *args):
    code = main(["assets", "--json", *args])
    report = json.loads(capsys.readouterr().out)
    return code, report["folder"], {a["name"]: a for a in report["assets"]}


def test_a_complete_folder(body_models, real_body_models, capsys):
    code, folder, assets = listed(capsys, "--body-models", str(body_models))
    assert (code, folder) == (0, str(body_models))
    body = assets["SMPL-X neutral"]
    assert body["status"] == "ok"
    assert "10475 vertices, 55 joints" in body["detail"]
    if not real_body_models:
        assert assets["FLAME neutral"]["detail"].startswith("5023 vertices, 300 shape")
        assert assets["FLAME contour"]["detail"] == "1343 points"
        assert assets["MANO left"]["detail"] == "45 components"
        assert assets["SMPL-X male"]["status"] == "missing"


def test_broken_and_missing_files(tmp_path, capsys, monkeypatch):
    (tmp_path / "FLAME_NEUTRAL.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", f=np.zeros((3, 3)))
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    code, folder, assets = listed(capsys)
    assert (code, folder) == (2, str(tmp_path))
    assert "os.system" in assets["FLAME neutral"]["detail"]
    assert "f must have shape (20908, 3), found (3, 3)" in assets["SMPL-X neutral"]["detail"]
    missing = assets["MANO right"]
    assert (missing["status"], missing["path"]) == ("missing", "")
    assert missing["owner"] == "https://mano.is.tue.mpg.de"


def test_the_table_and_no_folder_at_all(capsys, monkeypatch):
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    assert main(["assets"]) == 0
    shown = capsys.readouterr().out
    assert "https://smpl-x.is.tue.mpg.de" in shown
    assert "None of these is needed" in shown
    assert main(["assets", "--body-models", "/nowhere/at/all"]) == 2
    error = capsys.readouterr().err
    assert "no folder of body models at /nowhere/at/all" in error
    assert error.count("\n") == 1
