"""Pictures of losses: curves over one number, and what pulls and pushes features (matplotlib, the extra `demo`)."""
