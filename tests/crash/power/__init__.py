"""Power cuts, simulated: a program is recorded once, and its disk rebuilt as a power cut may leave it."""
