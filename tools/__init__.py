"""Programs that make what the package ships; none of it is in the wheel."""
