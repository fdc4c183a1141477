"""The joint fit of geometry, appearance, pose and camera to one clip."""
