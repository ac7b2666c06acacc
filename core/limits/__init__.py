"""How often somebody may knock: counted in the database, so that it holds whichever instance is asked."""
