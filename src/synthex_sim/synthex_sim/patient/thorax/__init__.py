"""A built-in population of chests: every seed is another person, healthy or with the lesions of a viral pneumonia.

Lungs, heart, vessels, airways, bones and walls are shapes fitted to one cage (``cage.Cage``) that is drawn for each
person; lesions are seeded into the lungs and labelled to the voxel. Nothing is read from disk. Research and simulation
only, not a medical device.
"""

from synthex_sim.patient.thorax.build import Thorax, make_thorax
from synthex_sim.patient.thorax.parameters import ThoraxPerson, draw_thorax_person
from synthex_sim.patient.thorax.structures import STRUCTURES

__all__ = ["STRUCTURES", "Thorax", "ThoraxPerson", "draw_thorax_person", "make_thorax"]
