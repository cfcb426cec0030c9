"""Backward activities, which undo what forward activities did."""
