"""The care of animals: weights, water, and death."""

from __future__ import annotations

from ..database.projects import Manual, table
from .general import LabMember, Note, Subject  # noqa: F401  (named by foreign keys)


@table("data")
class Weighing(Manual):
    """Weights of animals."""

    definition = """
    -> Subject
    weighing_datetime : datetime(6)      # local time of the lab
    ---
    weight : float64                     # g
    """


@table("data")
class Watering(Manual):
    """Water given to animals."""

    definition = """
    -> Subject
    watering_datetime : datetime(6)      # local time of the lab
    ---
    water_volume : float64               # uL
    """


@table("data")
class WaterRestriction(Manual):
    """Periods in which an animal's water was restricted, and its weight before."""

    definition = """
    -> Subject
    water_restriction_start_date : date
    ---
    -> LabMember
    water_restriction_end_date=null : date   # null: it goes on
    -> Weighing
    """


@table("data")
class Death(Manual):
    """Deaths of animals."""

    definition = """
    -> Subject
    ---
    death_date : datetime(6)             # local time of the lab
    -> [nullable] Note
    """
