"""What the commands do, as Python calls: fit, render, demo, doctor, reports, configuration."""
