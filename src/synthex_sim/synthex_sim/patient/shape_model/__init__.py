"""Patients whose hip bones and sacrum are samples of statistical shape models that a user has.

Research and simulation only, not a medical device.
"""

from synthex_sim.patient.shape_model.patient import shape_model_patient

__all__ = ["shape_model_patient"]
