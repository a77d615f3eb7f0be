"""A built-in population of patients: every seed is another person with exact labels and landmarks.

The bones are implicit surfaces grown around control points whose mean positions were measured on real pelves
(sources in the modules that hold them); a person is a set of drawn parameters (``parameters.Person``) applied to
these means. Nothing is read from disk. Research and simulation only, not a medical device.
"""

from synthex_sim.patient.phantom.build import make_phantom
from synthex_sim.patient.phantom.cache import cached_phantom
from synthex_sim.patient.phantom.parameters import Person, draw_person

__all__ = ["Person", "cached_phantom", "draw_person", "make_phantom"]
