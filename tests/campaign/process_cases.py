"""Cases of whole processes: environments, pipes, limits, kills."""

from __future__ import annotations

from collections.abc import Iterator

from .case import Case, Expected

_BOTH = ("a.safetensors", "m.npz", "m.bvh", "v.mp4", "p.png")


#: Until then Python itself starts; ``_struct`` is among the first imports of our code.
_STARTED = "until grep -qs _struct /proc/$p/maps || ! kill -0 $p; do sleep 0.01; done"
_CONVERT = "$PEAR convert m.npz out/c.bvh"
_EXPORT = "$PEAR export a.safetensors --html out/o.html"


def process_cases() -> Iterator[Case]:
    """Commands in shells."""
    yield from _environments()
    yield from _streams()
    yield from _signals()


def shell(group: str, name: str, text: str, expected: Expected = "done") -> Case:
    """A case of a shell command."""
    return Case(group, name, (), expected, _BOTH, shell=text, writes=("out", "caf\udce9"))


def _environments() -> Iterator[Case]:
    environments: tuple[tuple[str, Expected], ...] = (
        (f"env -u HOME {_CONVERT}", "done"),
        (f"HOME=/nowhere {_EXPORT}", "done"),
        (f"LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {_CONVERT}", "done"),
        ("cp m.npz $'caf\\xe9.npz'; LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 "
         "$PEAR convert $'caf\\xe9.npz' out/c.bvh", "done"),
        (f"PEAR_AVATAR_BODY_MODELS=/nowhere {_CONVERT}", "either"),
        (f"OMP_NUM_THREADS=many {_CONVERT}", "done"),
        (f"TERM= COLUMNS=0 {_CONVERT}", "done"),
        ("TERM=dumb COLUMNS=x $PEAR doctor", "either"),
        (f"TMPDIR=/nowhere {_EXPORT}", "done"),
        (f"PYTHONOPTIMIZE=2 {_CONVERT}", "done"),
        ("mkdir gone && cd gone && rmdir ../gone && $PEAR convert ../m.npz c.bvh", "refused"),
        (f"(ulimit -n 32; {_CONVERT})", "either"),
        (f"(ulimit -f 2; {_CONVERT})", "refused"),
        ("(ulimit -v 1000000; $PEAR recover p.png -o out)", "refused"),
        ("(ulimit -v 1500000; $PEAR fit v.mp4 -o out)", "refused"),
        (f"(ulimit -s 256; {_CONVERT})", "either"),
    )  # fmt: skip
    for number, (text, expected) in enumerate(environments):
        yield shell("environments", f"{number}: {text[:40]}", text, expected)


def _streams() -> Iterator[Case]:
    pipes: tuple[tuple[str, Expected], ...] = (
        (f"{_CONVERT} >&-", "done"),
        (f"{_CONVERT} 2>&-", "done"),
        (f"{_CONVERT} >&- 2>&- <&-", "done"),
        ("$PEAR convert none.npz out/c.bvh >&-", "refused"),
        (f"{_CONVERT} > /dev/full", "refused"),
        ("$PEAR doctor --json > /dev/full", "refused"),
        ("$PEAR doctor | head -1 >/dev/null; exit ${PIPESTATUS[0]}", "either"),
        ("$PEAR --help | true; exit ${PIPESTATUS[0]}", "either"),
        (f"{_CONVERT} < /dev/null | cat > /dev/null", "done"),
    )
    for number, (text, expected) in enumerate(pipes):
        yield shell("streams", f"{number}: {text[:40]}", text, expected)


def _signals() -> Iterator[Case]:
    works = {
        "synthetic": "$PEAR synthetic -o out --frames 400",
        "render": "$PEAR render a.safetensors --pose m.npz --fps 2000 --size 512x512 -o out/r.mp4",
        "fit": "$PEAR fit v.mp4 -o out",
        "synth": "$PEAR synth --count 32 -o out --processes 1",
    }
    for name, work in works.items():
        for signal in ("INT", "TERM", "HUP"):
            for wait in ("0.1", "1", "4"):
                # Python ignores SIGINT in background jobs of a shell, so it is set back first.
                text = (
                    f"(trap - INT; exec setsid {work}) & p=$!; {_STARTED}; sleep {wait}; "
                    f"kill -{signal} $p 2>/dev/null; wait $p; c=$?; "
                    "case $c in 0|2|130) exit 0;; 129|143) test " + wait + " != 4; exit $?;; "
                    "*) exit 1;; esac"
                )
                yield shell("signals", f"{name} {signal} after {wait} s", text)
    for name in ("synthetic", "render"):
        yield shell(
            "signals",
            f"{name} KILL, then again",
            f"{works[name]} & sleep 6; kill -KILL $!; wait; "
            + works[name].replace("400", "4").replace("2000", "30"),
        )
