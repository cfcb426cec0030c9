"""Tools of a saga for agents of other frameworks that run in the same workflow, a module for each framework.

None of these modules is loaded by anything else of Counterstep, and each needs its framework.
"""
