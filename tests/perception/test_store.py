"""The cache: found again by content, whole or not at all, never trusted blindly."""

import logging
import shutil

import numpy as np

from pear_avatar.perception.store import Store, content_key


def test_key_follows_content_and_settings_not_names(tmp_path):
    a = tmp_path / "a.mp4"
    a.write_bytes(bytes(range(256)) * 20000)
    shutil.copy(a, tmp_path / "b.mp4")
    key = content_key(a, {"x": 1})
    assert content_key(tmp_path / "b.mp4", {"x": 1}) == key
    assert content_key(a, {"x": 2}) != key
    data = bytearray(a.read_bytes())
    for place in (0, len(data) // 2 + 5, len(data) - 1):
        changed = data.copy()
        changed[place] ^= 1
        (tmp_path / "c.mp4").write_bytes(changed)
        assert content_key(tmp_path / "c.mp4", {"x": 1}) != key


def test_arrays_come_back_and_can_be_removed(tmp_path):
    store = Store(tmp_path, "k")
    assert store.load("raw-0") is None
    store.save("raw-0", {"a": np.arange(5), "t": np.array(["", "why"])})
    back = store.load("raw-0")
    assert back["a"].tolist() == [0, 1, 2, 3, 4]
    assert back["t"].tolist() == ["", "why"]
    assert [p.suffix for p in store.folder.iterdir()] == [".npz"]
    store.remove("raw-")
    assert store.load("raw-0") is None


def test_damage_is_noticed_and_means_again(tmp_path, caplog):
    store = Store(tmp_path, "k")
    store.save("x", {"a": np.arange(4000)})
    file = store.folder / "x.npz"
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    with caplog.at_level(logging.WARNING):
        for broken in (whole[: len(whole) // 2], b"", b"rubbish", bytes(flipped)):
            file.write_bytes(broken)
            assert store.load("x") is None
    assert caplog.text.count("damaged") == 4


def test_pickles_are_never_loaded(tmp_path):
    store = Store(tmp_path, "k")
    store.save("x", {"a": np.arange(3)})
    np.savez(store.folder / "x.npz", a=np.array([{"evil": 1}], dtype=object))
    assert store.load("x") is None


def test_no_folder_keeps_nothing():
    store = Store(None, "k")
    store.save("x", {"a": np.arange(3)})
    assert store.load("x") is None
    store.remove("x")
