"""A living 3D double of a person from an ordinary video: recover, fit, render."""

__version__ = "0.1.0"
