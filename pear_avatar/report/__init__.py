"""What a fit leaves for people and programs to read: figures, curves, contact sheets, previews."""
