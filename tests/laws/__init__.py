"""What must hold for every text, budget and counter, and for the code base itself."""
