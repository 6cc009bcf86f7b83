"""Who did what at headquarters, and who is signed in."""
