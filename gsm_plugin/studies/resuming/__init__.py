"""Trainings that are killed and go on."""
