"""Everything around a formula, once for every loss: what a definition is, how its options are read, how a call is
bound, checked and evaluated, and what a framework's adapter must offer. Nothing here knows a loss by its name.
"""
