"""The web viewer's Python side: its file formats, its server and its single-file export."""
