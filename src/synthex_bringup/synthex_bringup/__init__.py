"""Recording, replay and report of a simulated X-ray session. Research and simulation only, not a medical device."""

DISCLAIMER = "Research and simulation only, not a medical device."
