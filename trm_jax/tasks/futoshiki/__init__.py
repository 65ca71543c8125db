"""Futoshiki: Latin squares with signs of inequality between neighbours."""
