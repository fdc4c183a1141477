"""Training of the networks that the package ships; running a network needs none of it."""
