"""Pickles of model files: the honest ones are read, the others run nothing."""

from __future__ import annotations

import collections
import os
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from standins.python2_pickle import Chumpy, dump_python2

from pear_avatar.body.licensed.model_files import open_model_file
from pear_avatar.errors import ModelFileError, RefusedPickleError
from pear_avatar.io.safe_pickle import RecordDecoder, read_pickle, unpickle

REMEDY = "get it from its owner"
RNG = np.random.default_rng(0)
ARRAYS = {
    "v_template": RNG.normal(size=(7, 3)),
    "single": RNG.normal(size=(4,)).astype(np.float32),
    "f": np.arange(12, dtype=np.uint32).reshape(4, 3),
    "fortran": np.asfortranarray(RNG.normal(size=(3, 5))),
    "big_endian": np.arange(5, dtype=">i4"),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 3)),
}


def write(tmp_path, data, name="model.pkl"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else pickle.dumps(data))
    return path


def decoded(data):
    return RecordDecoder("test")(unpickle(data, "test"))


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol(protocol):
    matrix = sparse.random(6, 5, 0.4, random_state=1)
    given = {
        **ARRAYS, "csc": matrix.tocsc(), "csr": matrix.tocsr(), "coo": matrix.tocoo(),
        "scalar": np.float64(2.5), "text": "lbs", "raw": b"\x00\xff", "list": [1, (2.0, None)],
        "set": {1}, "large": 2**80, "ordered": collections.OrderedDict(a=1),
    }  # fmt: skip
    found = decoded(pickle.dumps(given, protocol))
    for key, array in ARRAYS.items():
        assert found[key].dtype == array.dtype, key
        assert np.array_equal(found[key], array), key
    for key in ("csc", "csr", "coo"):
        assert np.array_equal(found[key].toarray(), matrix.toarray())
    assert found["scalar"] == 2.5
    assert (found["text"], found["raw"], found["list"]) == ("lbs", b"\x00\xff", [1, (2.0, None)])
    assert found["large"] == 2**80


def test_python_2_and_chumpy_without_chumpy():
    assert "chumpy" not in sys.modules
    array = RNG.normal(size=(5, 3, 2))
    found = decoded(dump_python2({"shapedirs": Chumpy(array), "J": sparse.eye(4), "bs": "lbs"}))
    assert np.array_equal(found["shapedirs"], array)
    assert np.array_equal(found["J"].toarray(), np.eye(4))
    assert "chumpy" not in sys.modules


def test_chumpy_selections_as_mano_files_hold_them():
    array = RNG.normal(size=(4, 3))
    state = {"a": Chumpy(array), "idxs": np.array([11, 0, 5, 5]), "preferred_shape": (2, 2)}
    fragment = dump_python2(state)[2:-1]
    record = b"\x80\x02cchumpy.reordering\nSelect\n)\x81" + fragment + b"b."
    assert np.array_equal(decoded(record), array.ravel()[[11, 0, 5, 5]].reshape(2, 2))
    for change in ({"idxs": np.array([12])}, {"preferred_shape": (3, 3)}, {"a": None}):
        fragment = dump_python2({**state, **change})[2:-1]
        bad = b"\x80\x02cchumpy.reordering\nSelect\n)\x81" + fragment + b"b."
        with pytest.raises(ModelFileError, match="inconsistent chumpy selection"):
            decoded(bad)


def test_protocol_0_as_python_2_wrote_it():
    """Arrays as escaped text and the old constructor of new-style classes."""
    text = (
        b"(dp0\nS'x'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\n"
        b"tp4\nS'b'\np5\ntp6\nRp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f8'\np10\nI0\nI1\ntp11\n"
        b"Rp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\n"
        b"S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf0?\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xc0'\np15\n"
        b"tp16\nbsS'c'\nccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR"
        b"(dS'x'\ng7\nsbsS'big'\nL123456789012345678901234567890L\nsS'real'\nF0.5\ns."
    )
    found = decoded(text)
    assert found["x"].tolist() == [1.0, -2.0]
    assert found["c"].tolist() == [1.0, -2.0]
    assert found["big"] == 123456789012345678901234567890
    assert found["real"] == 0.5


# Hostile files. The witness is a file that running any of them would make.


class Evil:
    """Pickles as a call of whatever it was given."""

    def __init__(self, *reduce):
        self.reduce = reduce

    def __reduce__(self):
        return self.reduce


def hostile(witness):
    """Name -> (pickle, the global that gives it away)."""
    touch = f"open({str(witness)!r}, 'w').close()"
    system = Evil(os.system, (f"touch {witness}",))
    rebuild = np.core.multiarray._reconstruct
    objects = (1, (1,), np.dtype("O"), False, [system])
    values = {
        "os.system": (system, "posix.system"),
        "eval": (Evil(eval, (touch,)), "eval"),
        "exec": (Evil(exec, (touch,)), "exec"),
        "getattr": (Evil(getattr, ("", "join")), "getattr"),
        "import": (Evil(__import__, ("os",)), "__import__"),
        "process": (Evil(subprocess.Popen, (["touch", str(witness)],)), "subprocess.Popen"),
        "inside an array": (np.array([system], dtype=object), "posix.system"),
        "as an array's state": (Evil(rebuild, (np.ndarray, (0,), b"b"), objects), "posix.system"),
        "as a key": ({(1, 2): 0, system: 1}, "posix.system"),
        "as list items": (Evil(list, (), None, iter([system])), "posix.system"),
        "as dictionary items": (Evil(dict, (), None, None, iter([(1, system)])), "posix.system"),
        "behind good arrays": ({**ARRAYS, "unused": [system]}, "posix.system"),
        "a class from nothing": (Evil(types.new_class, ("X",)), "types.new_class"),
        "another loader": (Evil(pickle.loads, (pickle.dumps(1),)), "loads"),
        "NumPy's own loader": (Evil(np.load, (str(witness),)), "numpy"),
        "a memory map": (Evil(np.memmap, (str(witness), "u1", "w+", 0, 8)), "memmap"),
    }
    return {name: (pickle.dumps(v), culprit) for name, (v, culprit) in values.items()} | {
        "dotted attribute": (
            b"\x80\x04\x8c\x08builtins\x8c\x0edict.__class__\x93.",
            "dict.__class_",
        ),
        "chumpy's other classes": (b"cchumpy.ch_ops\nadd\n)\x81.", "chumpy.ch_ops.add"),
        "old-style instance": (b"(S'x'\nios\nsystem\n.", "opcode"),
        "old-style object": (b"(cos\nsystem\nS'x'\no.", "os.system"),
        "extension registry": (b"\x80\x02\x82\x01.", "opcode"),
        "persistent id": (b"Pname\n.", "opcode"),
    }


@pytest.mark.parametrize("name", sorted(hostile("w")))
def test_hostile_pickles_run_nothing_and_are_named(tmp_path, name):
    witness = tmp_path / "witness"
    data, culprit = hostile(witness)[name]
    path = write(tmp_path, data, "FLAME_NEUTRAL.pkl")
    before = set(sys.modules)
    with pytest.raises(ModelFileError) as caught:
        open_model_file(path, REMEDY)
    assert "FLAME_NEUTRAL.pkl" in str(caught.value)
    assert culprit in str(caught.value)
    if culprit != "opcode":
        assert isinstance(caught.value, RefusedPickleError)
        assert "nothing in this file was run" in str(caught.value)
    assert not witness.exists()
    assert not {"chumpy", "chumpy.ch_ops"} & (set(sys.modules) - before)


def test_the_same_files_do_run_code_in_python_s_own_unpickler(tmp_path):
    """So that the witness above proves something."""
    witness = tmp_path / "witness"
    pickle.loads(hostile(witness)["os.system"][0])
    assert witness.exists()


def test_allowed_names_are_never_called_or_changed(tmp_path):
    """Calls of allowed classes, and attempts to give them new attributes, stay records."""
    bad_state = b"cnumpy\nndarray\n}S'__array_priority__'\nI1\nsb."
    with pytest.raises(ModelFileError, match="cannot be filled"):
        unpickle(bad_state, "test")
    with pytest.raises(ModelFileError, match="is called"):
        unpickle(b"I1\n(I2\ntR.", "test")
    huge = pickle.dumps(Evil(np.ndarray, ((2**40,),)))
    with pytest.raises(ModelFileError, match=r"numpy\.ndarray where values belong"):
        decoded(huge)


def test_object_arrays_in_npz_and_npy_go_the_same_way(tmp_path):
    witness = tmp_path / "witness"
    evil = np.array({"x": Evil(os.system, (f"touch {witness}",))}, dtype=object)
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", part2num=evil, v_template=np.zeros((3, 3)))
    file = open_model_file(tmp_path / "SMPLX_NEUTRAL.npz", REMEDY)
    assert file.real("v_template", (3, 3)).shape == (3, 3)  # what is not asked for is not read
    with pytest.raises(RefusedPickleError, match=r"SMPLX_NEUTRAL\.npz: part2num.*posix\.system"):
        file.real("part2num", (3,))
    np.save(tmp_path / "table.npy", evil)
    with pytest.raises(RefusedPickleError, match=r"table\.npy.*posix\.system"):
        open_model_file(tmp_path / "table.npy", REMEDY)
    np.save(tmp_path / "good.npy", np.array({"lmk": [[1, 2], [3, 4]]}, dtype=object))
    good = open_model_file(tmp_path / "good.npy", REMEDY)
    assert good.integers("lmk", (2, 2)).tolist() == [[1, 2], [3, 4]]
    assert not witness.exists()


def array_record(shape, code, raw):
    dtype = b"cnumpy\ndtype\n(S'" + code + b"'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n"
    return start + shape + dtype + b"I00\n" + raw + b"tb"


BOMBS = {
    "memo index": b"]r\xff\xff\xff\xffh\x01.",
    "bytes": b"B\xff\xff\xff\x7fxx.",
    "long bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62),
    "integer": b"\x8b" + struct.pack("<i", 1 << 20) + bytes(1 << 20) + b".",
    "digits": b"L" + b"9" * 100_000 + b"L\n.",
    "negative size": b"T\xff\xff\xff\xff.",
    "array": array_record(b"(L1099511627776L\nt", b"f8", b"S'12345678'\n") + b".",
    "shape overflow": array_record(b"(L4294967296L\nL4294967296L\nt", b"f8", b"S''\n") + b".",
    "wide text": array_record(b"(I1\nt", b"U99999999", b"S''\n") + b".",
    "objects": array_record(b"(I1\nt", b"O8", b"S'12345678'\n") + b".",
    "itself": b"]q\x00h\x00a.",
    "nesting": b"(" * 20_000 + b"t" * 20_000 + b".",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_bombs_take_no_memory(name):
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError):
            decoded(BOMBS[name])
        assert tracemalloc.get_traced_memory()[1] < 60 << 20
    finally:
        tracemalloc.stop()


def test_shared_lists_do_not_unfold(tmp_path):
    """Thirty lists of ten references each: 10^30 items, if they were written out."""
    laughter = b"]q\x000" + b"".join(
        b"]q%c(" % (i + 1) + b"h%c" % i * 10 + b"e0" for i in range(30)
    )
    path = write(tmp_path, laughter + b"}S'x'\nh\x1es.")
    start = time.perf_counter()
    with pytest.raises(ModelFileError, match=r"model\.pkl: x unfolds into more than"):
        open_model_file(path, REMEDY).real("x", (3,))
    assert time.perf_counter() - start < 5


def test_truncation_anywhere_is_a_message():
    whole = dump_python2({"a": Chumpy(np.arange(3.0)), "b": sparse.eye(3)})
    for end in range(len(whole)):
        with pytest.raises(ModelFileError, match="test"):
            decoded(whole[:end])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.lists(st.sampled_from(
    [b"(", b"]", b"}", b"l", b"d", b"t", b"N", b"K\x01", b"s", b"a", b"e", b"u", b"0", b"2", b"b",
     b"R", b"\x81", b"h\x00", b"q\x00", b"\x94", b"cnumpy\ndtype\n", b"U\x02f8", b"\x8f", b"\x90",
     b"1", b"\x85", b"\x93"]), max_size=30).map(b"".join))  # fmt: skip
def test_noise_is_a_value_or_a_message(data):
    try:
        decoded(data + b".")
    except ModelFileError as error:
        assert "test" in str(error)  # noqa: PT017 - any other exception is the failure


def test_sparse_matrices_must_agree_with_themselves():
    for change in ({"indices": np.array([0, 99])}, {"indptr": np.array([0, 1])}, {"data": None}):
        good = {
            "_shape": (3, 2),
            "data": np.ones(2),
            "indices": np.array([0, 1]),
            "indptr": np.array([0, 1, 2]),
        }
        text = pickle.dumps({**good, **change}, 2)[2:-1]
        record = b"\x80\x02cscipy.sparse.csc\ncsc_matrix\n)\x81" + text + b"b."
        with pytest.raises(ModelFileError, match="sparse matrix"):
            decoded(record)


def test_a_file_that_is_no_pickle(tmp_path):
    path = write(tmp_path, b"<html>Please log in</html>")
    with pytest.raises(ModelFileError, match=r"model\.pkl: not a readable pickle"):
        read_pickle(path)
    with pytest.raises(ModelFileError, match="must hold a dictionary of arrays, found list"):
        open_model_file(write(tmp_path, [1, 2]), REMEDY)
