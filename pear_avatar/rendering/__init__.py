"""Pictures and videos: of avatars in motion, of portraits, of plain meshes."""
