"""The live view: a run's record → frames on the screen, by the best way that this front end offers."""
