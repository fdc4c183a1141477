"""Files in and out: videos, pictures, motions and tracks."""
