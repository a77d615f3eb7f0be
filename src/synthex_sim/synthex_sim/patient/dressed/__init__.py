"""Label maps without a CT made into patients: tissue of plausible Hounsfield units in the outlines that were drawn.

Bones, muscles and skin lie where the label map has them; cortex, cancellous texture, fat, bowel and bladder are drawn
from a seed as for the phantom. Research and simulation only, not a medical device.
"""

from synthex_sim.patient.dressed.patient import dressed_patient

__all__ = ["dressed_patient"]
