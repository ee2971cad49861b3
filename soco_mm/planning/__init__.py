"""What a training will cost, before it is started."""

from .plan import Plan, make_plan

__all__ = ['Plan', 'make_plan']
