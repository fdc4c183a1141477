"""Configurations: what presets may say, what mistakes are told, and the saved form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pear_avatar.commands.configuration import (
    ClipConfig,
    FitConfig,
    config_folder,
    config_to_dict,
    load_fit_config,
    preset_names,
    save_fit_config,
)
from pear_avatar.errors import ConfigError
from pear_avatar.fitting.fit_config import FittingConfig


def test_the_default_preset_changes_nothing() -> None:
    assert load_fit_config("default") == FitConfig()


def test_presets_order_the_work() -> None:
    fast, default, high = (load_fit_config(name).fitting for name in ("fast", "default", "high"))
    assert fast.joint_steps < default.joint_steps < high.joint_steps
    assert fast.num_splats <= default.num_splats < high.num_splats


def test_every_preset_file_loads() -> None:
    assert set(preset_names()) >= {"fast", "default", "high"}
    assert all(isinstance(load_fit_config(name), FitConfig) for name in preset_names())


def test_overrides_win_over_the_preset_and_keep_their_type() -> None:
    config = load_fit_config(
        "fast", ["fitting.rates.betas_px=1e-3", "fitting.joint_steps=7", "clip.max_frames=12"]
    )
    assert config.fitting.rates.betas_px == pytest.approx(1e-3)
    assert config.fitting.joint_steps == 7
    assert config.clip == ClipConfig(max_frames=12)
    assert config.fitting.num_splats == load_fit_config("fast").fitting.num_splats


def test_overrides_may_be_a_mapping() -> None:
    config = load_fit_config("fast", {"clip.max_frames": None, "output.overlay": False})
    assert config.clip.max_frames is None
    assert config.output.overlay is False


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("fitting.join_steps=3", "fitting.joint_steps"),
        ("joint_steps=3", "fitting.joint_steps"),
        ("fitting.los.ssim=0.1", "fitting.loss.ssim"),
        ("trackng.num_betas=3", "tracking.num_betas"),
    ],
)
def test_an_unknown_key_names_the_nearest(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match="unknown key") as caught:
        load_fit_config("default", [override])
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("fitting.joint_steps=abc", "'abc'"),
        ("fitting.refine_pose=perhaps", "'perhaps'"),
        ("fitting=3", "group of keys"),
        ("device=gpu", "'gpu'"),
        ("clip.max_frames=0", "clip.max_frames = 0"),
        ("tracking.focal_guess=-1", "tracking.focal_guess"),
        ("nonsense", "key=value"),
        ("fitting.joint_steps=[1", "key=value"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(override: str, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        load_fit_config("default", [override])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="nearest: fast"):
        load_fit_config("fsat")


def test_a_preset_may_be_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("fitting:\n  num_splats: 1234\n")
    assert load_fit_config(path).fitting.num_splats == 1234


@pytest.mark.parametrize("text", ["fitting: [", "- a\n- b\n", "fitting:\n  num_splat: 3\n"])
def test_a_bad_preset_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_fit_config(path)


def test_the_saved_config_reads_back_equal(tmp_path: Path) -> None:
    config = load_fit_config("high", ["clip.max_frames=90", "device=cpu"])
    save_fit_config(config, tmp_path / "config.yaml")
    assert load_fit_config(tmp_path / "config.yaml") == config


def test_plain_form_holds_every_group() -> None:
    plain = config_to_dict(replace(FitConfig(), fitting=FittingConfig(seed=5)))
    assert plain["fitting"]["seed"] == 5
    assert {"clip", "tracking", "fitting", "output", "device"} <= set(plain)


def test_presets_hold_only_overrides() -> None:
    assert config_folder().name == "configs"
    lines = (config_folder() / "default.yaml").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == ["{}"]


def test_a_preset_of_an_editor_that_writes_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("clip:\n  max_frames: 12\n", "utf-8-sig")
    assert load_fit_config(path).clip.max_frames == 12
