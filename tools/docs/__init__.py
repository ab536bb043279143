"""The API page: pdoc over the public modules, with the equations as MathML. It needs no network to be read."""
