"""Training of the landmark lifter: samples, detector noise, losses, scores."""
