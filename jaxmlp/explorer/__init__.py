"""The page on which one draws a digit and watches the backward pass: HTML, CSS, JavaScript, and what fills them in."""
