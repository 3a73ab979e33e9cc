"""How fast training is on this machine, against the same networks one at a time."""
