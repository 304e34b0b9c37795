"""The bugs, one module for each part of the code."""
