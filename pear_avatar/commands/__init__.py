"""What the commands do, as Python calls: fit, recover, convert, export, view, demo, doctor."""
