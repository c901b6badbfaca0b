"""Runs the whole stack as processes of this machine, with the launchers that the containers use."""
