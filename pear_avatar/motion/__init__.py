"""Motions of people: the files that hold them, resampling, retargeting, tracks, streams."""
