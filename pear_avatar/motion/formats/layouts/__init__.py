"""One module for each layout of pose files; the registry finds them by itself."""
