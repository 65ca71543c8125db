"""Drawing puzzles, predictions and traces: in the terminal, as pictures, pages and animations."""
