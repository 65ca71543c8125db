"""Numberlink: like letters joined by paths that fill the grid."""
