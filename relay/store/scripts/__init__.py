"""Transaction scripts, one area a file: what is done in one transaction, written once for every engine."""
