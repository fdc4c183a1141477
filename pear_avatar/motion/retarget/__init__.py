"""Motion capture of any human skeleton, mapped to the joints of the body."""
