"""The avatar: splats bound to a rigged template, and its file."""
