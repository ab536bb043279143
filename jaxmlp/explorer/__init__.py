"""The page on which one draws a digit and watches the backward pass: its sources, and what fills them in."""
