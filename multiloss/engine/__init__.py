"""Everything around a formula, once for all losses: what a definition is, how its options are read, how a call is
bound, checked and evaluated, and what an adapter must offer. Nothing here knows a loss by its name.
"""
