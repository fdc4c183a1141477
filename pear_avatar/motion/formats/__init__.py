"""Readers of motion files, one module a layout, behind one registry."""
