"""The API page: pdoc over the public modules, with the equations as MathML. No page asks the network for anything."""
