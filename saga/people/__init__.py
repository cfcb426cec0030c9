"""What people are asked, and how their answers reach the task."""
