"""What is right and wrong with everything that `syncd` needs, in plain words. Decided by pure functions on reports."""
