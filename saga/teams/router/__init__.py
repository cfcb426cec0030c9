"""Router: who does the job, what of it comes first, and who of equals."""
