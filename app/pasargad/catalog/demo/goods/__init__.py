"""The demo shop's goods as parametric models; each function returns a scene of named parts."""
