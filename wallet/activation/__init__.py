"""The codes that tie an account to a person: given at the desk or by letter, entered by whoever has signed in."""
