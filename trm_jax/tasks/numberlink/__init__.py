"""Numberlink: equal letters are joined by paths that fill the grid."""
