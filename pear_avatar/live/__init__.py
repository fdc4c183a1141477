"""Live drive: a camera's person moves avatars, frame by frame, with bounded lag."""
