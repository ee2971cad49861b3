"""One function for each job; the tools and the command line call these."""
