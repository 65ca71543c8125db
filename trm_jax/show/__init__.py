"""Boards and traces for people: terminal, pictures, pages, animations."""
