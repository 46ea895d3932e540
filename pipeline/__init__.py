"""The core: sources' parsers, normalisation, the engine and its SQL, estimates, the simulator."""
