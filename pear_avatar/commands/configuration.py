"""The configuration of a fit: structured, checked, and saved with each result.

A configuration is made of the dataclasses that stand beside the code they control. Presets and
overrides may only name keys that exist; a misspelt key is an error that names the nearest one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import pear_avatar
from pear_avatar.choices import BodyName
from pear_avatar.errors import ConfigError, one_line
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.io.atomic import write_text_atomic
from pear_avatar.io.replacing import MARK
from pear_avatar.perception.detectors import DEFAULT_DETECTOR
from pear_avatar.tracking.track_config import TrackConfig

DEVICES = ("auto", "cpu", "cuda")
STARTS = ("recovered", "search")


@dataclass
class ClipConfig:
    """Which part of the video is used."""

    #: look at most at this many frames, evenly spread over the video; null looks at all
    max_frames: int | None = 400
    #: where tracking starts: "recovered" from what the landmark lifter says of each frame, or
    #: "search" from several guesses of the tracker's own
    start: str = "recovered"


@dataclass
class PerceptionConfig:
    """How people are detected."""

    #: name of the detectors: see pear_avatar.perception.detectors
    detector: str = DEFAULT_DETECTOR


@dataclass
class BodyConfig:
    """Which body is fitted."""

    #: open, or smplx with model files of the user's own (see: pear-avatar assets)
    name: str = BodyName.OPEN.value
    #: of the licensed files: neutral, male or female
    gender: str = "neutral"
    #: how head and hands join it: eased, or pear as the programs of PEAR and EHM-Tracker do it
    convention: str = "eased"


@dataclass
class OutputConfig:
    """What is written beside the avatar."""

    #: a video of the input with landmarks drawn in, saying which frames were trusted
    overlay: bool = True
    #: a video of the input, the avatar in the same poses, and the avatar turning
    preview: bool = True
    #: curves for TensorBoard in the folder tensorboard/, while the fit runs
    tensorboard: bool = False


@dataclass
class FitConfig:
    """Everything that decides the result of ``fit_video`` apart from the video itself."""

    #: auto, cpu or cuda
    device: str = "auto"
    body: BodyConfig = field(default_factory=BodyConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    perception: PerceptionConfig = field(default_factory=PerceptionConfig)
    tracking: TrackConfig = field(default_factory=TrackConfig)
    fitting: FittingConfig = field(default_factory=FittingConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ConfigError(f"device = {self.device!r}: choose one of {', '.join(DEVICES)}")
        if self.clip.start not in STARTS:
            raise ConfigError(
                f"clip.start = {self.clip.start!r}: choose one of {', '.join(STARTS)}"
            )
        self.tracking.validate()
        if self.clip.max_frames is not None and self.clip.max_frames < 1:
            raise ConfigError(
                f"clip.max_frames = {self.clip.max_frames}: give 1 or more, or null for all frames"
            )


def config_folder() -> Path:
    """The folder of presets, in an installed package or in the source tree."""
    package = Path(pear_avatar.__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def preset_names() -> list[str]:
    """Names that ``load_fit_config`` accepts as a preset."""
    return sorted(path.stem for path in config_folder().glob("*.yaml"))


def load_fit_config(
    preset: str | Path = "default", overrides: Sequence[str] | Mapping[str, Any] = ()
) -> FitConfig:
    """The configuration of a preset with overrides laid over it.

    Args:
        preset: a name (``fast``, ``default``, ``high``) or the path of a YAML file that holds
            nothing but overrides of the defaults.
        overrides: ``"fitting.joint_steps=3000"`` strings, or a mapping from such dotted keys.

    Raises:
        ConfigError: unknown preset, key or value; the message names the nearest right one.
    """
    config = _writable(FitConfig)
    known = list(_leaf_keys(config))
    path = _preset_path(preset)
    config = _merge(config, _read_yaml(path), known, source=str(path))
    if isinstance(overrides, Mapping):
        overrides = [f"{key}={_as_yaml(value)}" for key, value in overrides.items()]
    for item in overrides:
        config = _merge(config, _parse_override(item), known, source=f"--set {item}")
    return cast(FitConfig, _build(config))


def resolve_config(
    preset: str | Path | FitConfig, overrides: Sequence[str] | Mapping[str, Any] = ()
) -> FitConfig:
    """A whole configuration as it is, or :func:`load_fit_config` of a preset.

    Raises:
        ConfigError: as :func:`load_fit_config`, or overrides of a whole configuration.
    """
    if not isinstance(preset, FitConfig):
        return load_fit_config(preset, overrides)
    if overrides:
        raise ConfigError("settings change a preset; a configuration already holds them all")
    return preset


def config_to_dict(config: FitConfig) -> dict[str, Any]:
    """The configuration as nested plain dictionaries, as saved and as shown in the report."""
    plain = OmegaConf.to_container(OmegaConf.structured(config), resolve=True)
    return cast(dict[str, Any], plain)


def save_fit_config(config: FitConfig, path: str | Path) -> None:
    """Write the resolved configuration as YAML; ``load_fit_config(path)`` reads it back."""
    text = OmegaConf.to_yaml(OmegaConf.create(config_to_dict(config)))
    write_text_atomic(path, f"# the settings of a fit by {MARK}\n{text}")


def _writable(schema: type) -> DictConfig:
    """A structured config whose frozen parts accept overrides until it is built."""
    config = cast(DictConfig, OmegaConf.structured(schema))
    pending: list[DictConfig] = [config]
    while pending:
        node = pending.pop()
        OmegaConf.set_readonly(node, False)
        children = node.items_ex(resolve=False)
        pending += [child for _, child in children if isinstance(child, DictConfig)]
    return config


def _leaf_keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key, child in config.items_ex(resolve=False):
        name = prefix + str(key)
        if isinstance(child, DictConfig) and child != None:  # noqa: E711 - a node that holds null
            yield from _leaf_keys(child, f"{name}.")
        else:
            yield name


def _preset_path(preset: str | Path) -> Path:
    name = str(preset)
    if isinstance(preset, Path) or name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(preset)
        if not path.is_file():
            raise ConfigError(f"no such preset file: {path}")
        return path
    names = preset_names()
    if name not in names:
        raise ConfigError(
            f"unknown preset {name!r}{_nearest(name, names)}; there are {', '.join(names)}, "
            "or name a .yaml file"
        )
    return config_folder() / f"{name}.yaml"


def _read_yaml(path: Path) -> DictConfig:
    try:
        loaded = OmegaConf.load(path)
    except (yaml.YAMLError, OmegaConfBaseException, OSError, UnicodeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{path} is not YAML that can be read ({first})") from error
    if not isinstance(loaded, DictConfig):
        raise ConfigError(f"{path} holds a {type(loaded).__name__}; it must hold key: value lines")
    return loaded


def _parse_override(item: str) -> DictConfig:
    key, equals, _ = item.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{item!r} is not key=value, such as fitting.joint_steps=3000")
    try:
        return OmegaConf.from_dotlist([item])
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        reason = one_line(error)
        raise ConfigError(f"{item!r} cannot be read as key=value ({reason})") from error


def _merge(config: DictConfig, extra: DictConfig, known: list[str], source: str) -> DictConfig:
    for key in _leaf_keys(extra):
        if key not in known and not any(key.startswith(f"{leaf}.") for leaf in known):
            _check_branch(key, known, source)
    try:
        return cast(DictConfig, OmegaConf.merge(config, extra))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{source}: {_describe(error)}") from error


def _check_branch(key: str, known: list[str], source: str) -> None:
    if any(leaf.startswith(f"{key}.") for leaf in known):
        raise ConfigError(f"{source}: {key} is a group of keys, not a value; give {key}.<name>")
    raise ConfigError(f"{source}: unknown key {key!r}{_nearest(key, known)}")


def _nearest(name: str, known: list[str]) -> str:
    """`` (nearest: ...)`` for the likeliest meant names, empty where nothing is alike."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    last = name.rpartition(".")[2]
    by_last = {key.rpartition(".")[2]: key for key in reversed(known)}
    close += [by_last[k] for k in difflib.get_close_matches(last, by_last, n=1, cutoff=0.6)]
    best = list(dict.fromkeys(close))[:2]
    return f" (nearest: {' or '.join(best)})" if best else ""


def _describe(error: OmegaConfBaseException) -> str:
    """The key and OmegaConf's reason, which names the value, without its block of details."""
    key = str(error.full_key or "configuration")
    return f"{key}: {str(error).splitlines()[0]}"


def _build(config: DictConfig) -> object:
    """Instances of the dataclasses, with lists turned back into the tuples they declare."""
    try:
        built = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise ConfigError(_describe(error)) from error
    _restore_tuples(built)
    return built


def _restore_tuples(value: object) -> None:
    if not is_dataclass(value):
        return
    for spec in fields(value):
        child = getattr(value, spec.name)
        if isinstance(child, list) and "tuple" in str(spec.type).lower():
            object.__setattr__(value, spec.name, tuple(child))
        _restore_tuples(child)


def _as_yaml(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
