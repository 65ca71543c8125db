"""Planning for hardware that is not at hand: programs are compiled and analysed, not run."""
