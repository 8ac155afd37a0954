"""Forms of the jobs' pages."""

from jobroom.jobs.forms.launch import LaunchForm, WhenForm, launch_form

__all__ = ["LaunchForm", "WhenForm", "launch_form"]
