"""The experiments of the page `which.md`."""
