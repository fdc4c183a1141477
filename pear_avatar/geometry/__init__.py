"""Rotations, cameras and triangle meshes: pure functions on tensors."""
